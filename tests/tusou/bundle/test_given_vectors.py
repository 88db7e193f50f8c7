"""Files of vectors from elsewhere: the types that are read, and the files that are refused."""

import pickle
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tusou.bundle import given_vectors as module
from tusou.bundle.given_vectors import GivenVectors
from tusou.core.errors import BadDataset

DRAWN = np.random.default_rng(3).normal(size=(7, 5))
UNIT = DRAWN / np.linalg.norm(DRAWN, axis=1, keepdims=True)
ALL = np.arange(7)


def written(path: Path, array: npt.NDArray[np.generic]) -> GivenVectors:
    np.save(path / "x.npy", array)
    return GivenVectors(path / "x.npy")


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(UNIT.astype("<f4"), id="float32"),
        pytest.param(UNIT.astype(">f4"), id="big-endian"),
        pytest.param(UNIT.astype("<f8"), id="float64"),
        pytest.param(np.asfortranarray(UNIT), id="fortran"),
        pytest.param((UNIT * 1e6).astype("<f4"), id="long"),
        pytest.param(UNIT * 1e-20, id="short"),
    ],
)
def test_rows_become_unit_vectors_of_float32(
    array: npt.NDArray[np.generic], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 3 * 5 * 8)  # three rows a block
    given = written(tmp_path, array)
    assert (len(given), given.dim) == (7, 5)
    rows = np.concatenate(list(given.unit_rows(ALL)))
    assert (rows.dtype, rows.shape) == (np.float32, (7, 5))
    np.testing.assert_allclose(rows, UNIT, atol=1e-6)


def test_half_precision_is_scaled_back_to_length_one(tmp_path: Path) -> None:
    rows = np.concatenate(list(written(tmp_path, UNIT.astype(np.float16)).unit_rows(ALL)))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows, UNIT, atol=2e-3)


def test_unit_rows_of_float32_keep_every_bit(tmp_path: Path) -> None:
    array = UNIT.astype(np.float32)
    rows = np.concatenate(list(written(tmp_path, array).unit_rows(ALL)))
    assert rows.tobytes() == array.tobytes()


def test_only_the_named_rows_are_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 3 * 5 * 8)
    given = written(tmp_path, UNIT)
    blocks = list(given.unit_rows(np.array([0, 4, 6])))
    assert [len(block) for block in blocks] == [1, 1, 1]
    np.testing.assert_allclose(np.concatenate(blocks), UNIT[[0, 4, 6]], atol=1e-6)


def test_rows_that_cannot_be_scaled_have_a_reason(tmp_path: Path) -> None:
    array = UNIT.copy()
    array[1], array[2, 3], array[4, 0], array[5] = 0, np.nan, -np.inf, 1e200
    given = written(tmp_path, array)
    [(start, _, norms)] = given.blocks()
    assert (start, [given.problem(norm) for norm in norms.tolist()]) == (
        0,
        [
            None,
            "vector of zeros",
            "vector is not finite",
            None,
            "vector is not finite",
            "vector is not finite",
            None,
        ],
    )


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


HOSTILE = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 65536)}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "not a NumPy array", id="empty"),
        pytest.param(b"1\t2\t3\n", "not a NumPy array", id="text"),
        pytest.param(pickle.dumps([1.0]), "not a NumPy array", id="pickle"),
        pytest.param(b"PK\x03\x04....", "archive of arrays", id="npz"),
        pytest.param(HOSTILE, "cannot be read", id="larger-than-the-file"),
        pytest.param(npy("__import__('os')"), "cannot be read", id="code"),
        pytest.param(b"\x93NUMPY\x09\x00", "cannot be read", id="version"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(BadDataset, match=message):
        GivenVectors(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(UNIT[0], id="one-vector"),
        pytest.param(UNIT[np.newaxis], id="three-dimensions"),
        pytest.param(np.ones((3, 2), np.int8), id="integers"),
        pytest.param(np.ones((3, 2), np.complex64), id="complex"),
        pytest.param(np.empty((0, 8), np.float32), id="no-rows"),
        pytest.param(np.empty((8, 0), np.float32), id="no-columns"),
    ],
)
def test_other_arrays_are_refused(array: npt.NDArray[np.generic], tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=rf"shape \({array.shape[0]}"):
        written(tmp_path, array)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[object()]], object), allow_pickle=True)
    with pytest.raises(BadDataset, match="cannot be read"):
        GivenVectors(tmp_path / "x.npy")
