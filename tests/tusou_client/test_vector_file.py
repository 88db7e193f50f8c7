"""Vectors in NumPy files, read without numpy."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tusou_client.errors import UsageError
from tusou_client.vector_file import read_vector

NUMBERS = [0.5, -0.25, 3.0]


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_every_type_of_float_is_read(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array(NUMBERS, dtype).reshape(shape))
    assert read_vector(tmp_path / "v.npy") == NUMBERS


def test_later_versions_of_the_format_are_read(tmp_path: Path) -> None:
    with (tmp_path / "v.npy").open("wb") as file:
        np.lib.format.write_array(file, np.array(NUMBERS, np.float32), version=(2, 0))
    assert read_vector(tmp_path / "v.npy") == NUMBERS


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.ones((2, 3)), id="two-vectors"),
        pytest.param(np.ones((1, 1, 3)), id="three-dimensions"),
        pytest.param(np.array(5.0), id="a-number"),
        pytest.param(np.ones(3, np.int64), id="integers"),
    ],
)
def test_other_arrays_are_refused(array: npt.NDArray[np.generic], tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(UsageError, match="one vector of floats"):
        read_vector(tmp_path / "v.npy")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([1.0, np.nan]))
    with pytest.raises(UsageError, match="not finite"):
        read_vector(tmp_path / "v.npy")


@pytest.mark.parametrize("cut", [0, 5, 9, 60, 129, 139])
def test_a_cut_file_is_refused(cut: int, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array(NUMBERS, np.float32))
    data = (tmp_path / "v.npy").read_bytes()
    assert len(data) == 140
    (tmp_path / "v.npy").write_bytes(data[:cut])
    with pytest.raises(UsageError, match="one vector of floats"):
        read_vector(tmp_path / "v.npy")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.npy cannot be read"):
        read_vector(tmp_path / "none.npy")
