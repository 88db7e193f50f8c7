"""Decoding keeps the order, names every bad image, and survives the death of its workers."""

import base64
import os
import signal
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
from drawing import image_bytes

from tusou.images.preprocess import open_image, to_pixels
from tusou.images.workers import Decoded, Decoder

SIZE = 16
BROKEN = 3


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Path, npt.NDArray[np.int64]]:
    places, offset = [], 0
    path = tmp_path / "imgs.tsv"
    with path.open("wb") as file:
        for line in range(12):
            image = b"not an image" if line == BROKEN else image_bytes(line)
            encoded = base64.b64encode(image)
            file.write(encoded + b"\n")
            places.append((line + 1, 0, offset, len(encoded)))
            offset += len(encoded) + 1
    return path, np.array(places, np.int64)


def pixels(line: int) -> npt.NDArray[np.uint8]:
    return to_pixels(open_image(image_bytes(line)), SIZE)


def check(decoded: list[Decoded]) -> None:
    lines = [line for line in range(12) if line != BROKEN]
    np.testing.assert_array_equal(
        np.concatenate([batch.pixels for batch in decoded]), [pixels(line) for line in lines]
    )
    assert [batch.good for batch in decoded] == [(0, 1, 2), (1, 2), (0, 1, 2), (0, 1, 2)]
    stored = [base64.b64encode(image_bytes(line)) for line in lines]
    checks = [check for batch in decoded for check in batch.checks]
    assert checks == [crc32(one) for one in stored]
    assert [batch.bad for batch in decoded] == [
        (),
        ((0, "not a readable JPEG, PNG or WebP image"),),
        (),
        (),
    ]


def test_batches_come_back_in_order(rows: tuple[Path, npt.NDArray[np.int64]]) -> None:
    path, places = rows
    with Decoder([path], "base64", SIZE, workers=2) as decoder:
        check(list(decoder.decode(np.split(places, 4))))


def test_killed_workers_cost_no_image(rows: tuple[Path, npt.NDArray[np.int64]]) -> None:
    path, places = rows
    with Decoder([path], "base64", SIZE, workers=1) as decoder:
        results = decoder.decode(np.split(places, 4))
        decoded = [next(results)]
        for pid in list(decoder._pool._processes):
            os.kill(pid, signal.SIGKILL)
        decoded += list(results)
    check(decoded)
