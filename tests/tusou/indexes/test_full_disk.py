"""Files that a full disk refuses: the error names the file and the reason."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tusou.bundle.array_file import save_array
from tusou.core.files import create_file, write_file
from tusou.indexes import create_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
VECTORS = np.eye(16, 64, dtype=np.float32)
FULL = Path("/dev/full")


def save_index(spec: IndexSpec) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        index = create_index(spec, 64)
        index.fill(VECTORS)
        index.save(path)

    return save


def save_lines(path: Path) -> None:
    with create_file(path) as file:
        file.write(b"1001\n")


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(save_index(FaissSpec("Flat")), id="flat"),
        pytest.param(save_index(FaissSpec("HNSW8")), id="hnsw"),
        pytest.param(save_index(TorchSpec()), id="torch"),
        pytest.param(lambda path: save_array(path, VECTORS), id="array"),
        pytest.param(save_lines, id="lines"),
    ],
)
def test_a_full_disk_is_an_oserror_with_the_file_and_the_reason(
    save: Callable[[Path], None],
) -> None:
    with pytest.raises(OSError, match="No space left on device") as refused:
        save(FULL)
    assert (refused.value.errno, refused.value.filename) == (errno.ENOSPC, "/dev/full")


def test_a_replacement_that_cannot_be_written_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "CURRENT", b"old")
    (tmp_path / ".CURRENT.new").symlink_to(FULL)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "CURRENT", b"new")
    assert (tmp_path / "CURRENT").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]
