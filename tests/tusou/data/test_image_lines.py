"""Image files as other tools write them; what they hold is read in place."""

import base64
import gzip
from pathlib import Path

import pytest
from drawing import image_bytes
from reading import write_file

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data import open_pool
from tusou.images.preprocess import open_image

CASES = Path(__file__).parents[2] / "cases"
THREE = ["30000000", "30000001", "30000002"]


def read_images(path: Path) -> dict[str, bytes]:
    """Return the decoded image of every row; none may fail."""
    pool = open_pool(str(path))
    images = {}
    with ItemReader(pool.files) as reader:
        for row in pool.scan():
            assert not isinstance(row, Failure), row
            stored = reader.read(row.file, row.offset, row.length)
            images[row.item_id] = decode_stored_image(stored, pool.encoding)
    return images


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("pool-trailing-blank-line.tsv", THREE),
        ("pool-data-uri.tsv", THREE),
        ("pool-header-row.tsv", THREE),
        ("pool-extra-columns.tsv", THREE),
        ("pool-unpadded-base64.tsv", ["1"]),
    ],
)
def test_cases(name: str, ids: list[str]) -> None:
    images = read_images(CASES / name)
    assert list(images) == ids
    for data in images.values():
        open_image(data)


def test_a_header_is_counted() -> None:
    pool = open_pool(str(CASES / "pool-header-row.tsv"))
    assert len(list(pool.scan())) == 3
    assert pool.skipped.sentences() == ["1 header rows, such as item_id\timage"]


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_base64_in_lines_and_without_padding(tmp_path: Path, width: int, end: bytes) -> None:
    images = {f"{number}": image_bytes(number) for number in range(3)}
    data = b""
    for item_id, image in images.items():
        encoded = base64.urlsafe_b64encode(image).rstrip(b"=")
        pieces = [encoded[start : start + width] for start in range(0, len(encoded), width)]
        data += item_id.encode() + b"\t" + end.join(pieces) + end
    assert read_images(write_file(tmp_path / "pool.tsv", data)) == images


def test_a_broken_row_is_no_continuation(tmp_path: Path) -> None:
    whole = base64.b64encode(image_bytes(1))
    data = b"1\t" + whole + b"\n12345\n2\t" + whole + b"\tx\ty\n3\ta\tb\n\n4\t" + whole + b"\n"
    rows = list(open_pool(str(write_file(tmp_path / "pool.tsv", data))).scan())
    assert [row.reason if isinstance(row, Failure) else row.item_id for row in rows] == [
        "1",
        "missing column: expected item_id<TAB>base64",
        "2",
        "more than two columns",
        "blank line",
        "4",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            gzip.compress(b"1\tAAAA\n", mtime=0),
            "is compressed with gzip; unpack it with `gunzip -k`",
        ),
        ("1\tAAAA\n".encode("utf-16"), "is UTF-16; items are read in place, so save it as UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer"),
        (b'[{"text_id": 1, "text": "a"}]', "is one JSON array; items are read in place"),
    ],
)
def test_files_that_cannot_be_read_in_place_are_named(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    for name in ("pool.tsv", "texts.jsonl"):
        with pytest.raises(BadDataset, match=f"{name} {problem}"):
            open_pool(str(write_file(tmp_path / name, data)))
