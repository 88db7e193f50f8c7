"""Decoded images: by processes as in one, and whole after a kill."""

import json
from pathlib import Path

import numpy as np
import pytest
from drawing import image_line
from tusou_lab.train import pixel_cache
from tusou_lab.train.pixel_cache import DecodedImages, load_images

from tusou.cli.progress import NoProgress
from tusou.data import ItemPool, open_dataset
from tusou.images.transform import ImageTransform

COUNT = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    lines = [image_line(number, number) for number in range(COUNT)]
    lines[5], lines[COUNT - 1] = b"5\tnot-an-image\n", b"23\tAAAA\n"
    (folder / "MR_train_imgs.tsv").write_bytes(b"".join(lines))
    row = {"query_id": 1, "query_text": "裙", "item_ids": [1]}
    (folder / "MR_train_queries.jsonl").write_text(json.dumps(row) + "\n")
    return str(folder)


def pool_of(data: str) -> ItemPool:
    return open_dataset(data).images("train")


def load(data: str, cache: Path, progress: NoProgress | None = None) -> DecodedImages:
    transform = ImageTransform(24)
    return load_images(pool_of(data), "train", transform, cache, progress or NoProgress(), 2)


@pytest.fixture(scope="module")
def in_one_process(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("one")
    load(data, cache)
    return cache


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes decode even a few images."""
    monkeypatch.setattr(pixel_cache, "_FEW", 0)


def files(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.iterdir()}


@pytest.mark.usefixtures("in_processes")
def test_processes_decode_the_same_bytes(data: str, in_one_process: Path, tmp_path: Path) -> None:
    images = load(data, tmp_path)
    assert files(tmp_path) == files(in_one_process)
    assert (len(images.pool_ids), len(images.ids), images.undecodable) == (COUNT, COUNT - 2, 2)
    assert "5" not in images.ids
    assert images.pixels.shape == (COUNT - 2, 24, 24, 3)
    assert len(np.unique(images.pixels.reshape(COUNT - 2, -1), axis=0)) > COUNT / 2


class KillAfterImages(NoProgress):
    """Interrupts the decoding after some images."""

    def __init__(self, count: int) -> None:
        self._left, self._decoding = count, False

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._decoding = label.startswith("decoding")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= self._decoding
        if not self._left:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("in_processes")
def test_a_kill_leaves_nothing_that_is_taken_for_complete(
    data: str, in_one_process: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(data, tmp_path, KillAfterImages(9))
    assert not list(tmp_path.glob("*.npy"))
    assert not list(tmp_path.glob("*.json"))
    load(data, tmp_path)
    assert files(tmp_path) == files(in_one_process)
