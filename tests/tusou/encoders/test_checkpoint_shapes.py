"""Reading of tensor shapes without torch."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.checkpoint_shapes import read_shapes

if TYPE_CHECKING:
    from tests.tusou.encoders.conftest import Sample


def test_shapes_equal_those_that_torch_reads(sample: "Sample") -> None:
    shapes = read_shapes(sample.path)
    assert shapes is not None
    tensors = read_tensors(sample.path)
    assert {name: shape.shape for name, shape in shapes.items()} == {
        name: tuple(tensor.shape) for name, tensor in tensors.items()
    }


def test_parameters_views_and_other_types_are_read(tmp_path: Path) -> None:
    kinds = (torch.bfloat16, torch.int64, torch.float64, torch.bool, torch.uint8)
    state: dict[str, Any] = {str(kind): torch.zeros(2, 3).to(kind) for kind in kinds}
    state["parameter"] = torch.nn.Parameter(torch.zeros(5))
    state["view"] = torch.zeros(4, 6).T[1:]
    state["step"] = 7
    torch.save({"module.a": torch.zeros(()), **state}, tmp_path / "model.pt")
    shapes = read_shapes(tmp_path / "model.pt")
    assert shapes is not None
    assert {name: shape.shape for name, shape in shapes.items()} == {
        **{str(kind): (2, 3) for kind in kinds},
        "parameter": (5,),
        "view": (5, 4),
        "a": (),
    }


@pytest.mark.parametrize(
    "saved", [{"a": torch.device("cpu")}, {"a": Path("x")}, [torch.ones(1)], {"state_dict": 5}]
)
def test_files_with_unknown_objects_are_left_to_torch(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "model.pt")
    assert read_shapes(tmp_path / "model.pt") is None


def test_old_and_foreign_files_are_left_to_torch(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("old.pt", "empty.pt", "missing.pt"):
        assert read_shapes(tmp_path / name) is None


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class FileCreator:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "created",)

    torch.save({"a": torch.ones(1), "b": FileCreator()}, tmp_path / "model.pt")
    assert read_shapes(tmp_path / "model.pt") is None
    assert not (tmp_path / "created").exists()


def test_torch_is_not_imported(tiny: "Sample") -> None:
    code = """
import sys
from pathlib import Path
from tusou.encoders import find_weights, image_transform
from tusou.encoders.checkpoint_shapes import read_shapes
assert read_shapes(Path(sys.argv[1])) and image_transform(find_weights(sys.argv[1])).side == 64
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tiny.path)], check=True, timeout=60)
