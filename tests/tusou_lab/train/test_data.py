"""The data of training runs: formats, cached images, and what is missing or too little."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from drawing import image_bytes, image_line
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import SPLITS, assert_same_weights, write_flickr8k
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset
from tusou.data import open_dataset
from tusou.encoders.tokenizer import ClipTokenizer
from tusou.images.transform import ImageTransform


def test_nothing_is_learnt_from_a_pair_nor_measured_with_one_image(
    spec: TrainSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()

    def write(split: str, count: int) -> None:
        lines = b"".join(image_line(number, number * 3) for number in range(count))
        (folder / f"MR_{split}_imgs.tsv").write_bytes(lines)
        rows = ({"query_id": n, "query_text": "裙", "item_ids": [n]} for n in range(count))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"MR_{split}_queries.jsonl").write_text(text)

    write("train", 1)
    write("valid", 3)
    with pytest.raises(BadDataset, match=r"#train: nothing can be learnt \(queries: 1, im"):
        train(str(folder), spec, tmp_path / "x.pt", device="cpu")
    write("train", 4)
    write("valid", 1)
    with pytest.raises(BadDataset, match="#valid: nothing can be measured with 1 image"):
        train(str(folder), spec, tmp_path / "x.pt", device="cpu")
    assert not (tmp_path / "x.pt").exists()
    write("valid", 3)
    report = train(str(folder), replace(spec, epochs=1), tmp_path / "x.pt", device="cpu")
    assert "has 3 images, so hit@10 is 100 for every model" in report.note


def test_skips_images_that_cannot_be_decoded(data: str, spec: TrainSpec, tmp_path: Path) -> None:
    for path in Path(data).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    images = tmp_path / "MR_valid_imgs.tsv"
    images.write_bytes(b"20000099\tnot-an-image\n" + images.read_bytes())
    report = train(str(tmp_path), spec, tmp_path / "out" / "model.pt", device="cpu")
    assert report.steps == 9
    progress = Notices()
    encoder = SplitEncoder(ImageTransform(32), ClipTokenizer().prepare)
    cache = tmp_path / "cache"
    split = load_split(open_dataset(str(tmp_path)), "valid", encoder, cache, progress)
    assert not progress.messages
    lines = images.read_bytes().splitlines(keepends=True)
    images.write_bytes(b"".join(lines[:3]))  # one correct image is left
    fewer = load_split(open_dataset(str(tmp_path)), "valid", encoder, cache, progress)
    assert len(fewer.correct) < len(split.correct)
    (message,) = progress.messages
    assert message.startswith(f"warning: 4 of 5 correct images of {tmp_path}#valid are missing")
    images.write_bytes(b"20000099\tnot-an-image\n")
    with pytest.raises(BadDataset, match=r"none of the 5 correct items of .*#valid"):
        train(str(tmp_path), spec, tmp_path / "out" / "other.pt", device="cpu")
    images.unlink()
    with pytest.raises(BadDataset, match="is missing"):
        train(str(tmp_path), spec, tmp_path / "out" / "other.pt", device="cpu")


@pytest.fixture(scope="module")
def expected(spec: TrainSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on MUGE files of the small dataset that `write_flickr8k` and `write_tars` hold."""
    folder = tmp_path_factory.mktemp("muge")
    for split, numbers in SPLITS.items():
        images = b"".join(image_line(f"{n}.png", n * 3) for n in numbers)  # seeds for PNG
        (folder / f"MR_{split}_imgs.tsv").write_bytes(images)
        rows = (
            {"query_id": n, "query_text": f"{n}号连衣裙", "item_ids": [f"{n}.png"]} for n in numbers
        )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"MR_{split}_queries.jsonl").write_text(text)
    return train(str(folder), spec, folder / "out" / "model.pt", device="cpu").checkpoint


def write_tars(folder: Path) -> str:
    folder.mkdir()
    for split, numbers in SPLITS.items():
        for shard in range(2):
            with tarfile.open(folder / f"{split}-{shard:06d}.tar", "w") as tar:
                for number in numbers[shard * len(numbers) // 2 :][: len(numbers) // 2]:
                    described = {"item_id": f"{number}.png", "caption": f"{number}号连衣裙"}
                    members = {
                        "png": image_bytes(number * 3, form="PNG"),
                        "json": json.dumps(described).encode(),
                    }
                    for ending, data in members.items():
                        member = tarfile.TarInfo(f"{number:04d}.{ending}")
                        member.size = len(data)
                        tar.addfile(member, BytesIO(data))
    return str(folder)


@pytest.mark.parametrize("write", [write_flickr8k, write_tars])
def test_every_format_trains_to_the_same_weights(
    write: Callable[[Path], str], expected: Path, spec: TrainSpec, tmp_path: Path
) -> None:
    data = write(tmp_path / "data")
    out = tmp_path / "out" / "model.pt"
    train(data, spec, out, device="cpu")
    assert_same_weights(out, expected)
    named = train(f"{data}#train", spec, tmp_path / "named.pt", valid=f"{data}#valid", device="cpu")
    assert_same_weights(named.checkpoint, expected)


class Notices(NoProgress):
    """Keeps the messages to the user."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notice(self, message: str) -> None:
        self.messages.append(message)


class DecodeCounter(NoProgress):
    """Counts the images that are decoded, by the label of their progress bar."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def begin(self, label: str, total: int, done: int = 0) -> None:
        if label.startswith("decoding"):
            self.totals[label] = total


def test_decoded_images_are_cached_until_the_data_changes(spec: TrainSpec, tmp_path: Path) -> None:
    data = write_flickr8k(tmp_path / "data")
    first, again, changed = DecodeCounter(), DecodeCounter(), DecodeCounter()
    train(data, spec, tmp_path / "a.pt", device="cpu", progress=first)
    train(data, spec, tmp_path / "b.pt", device="cpu", progress=again)
    (tmp_path / "data" / "Images" / "20.png").write_bytes(image_bytes(999, form="PNG"))
    train(data, spec, tmp_path / "c.pt", device="cpu", progress=changed)
    assert first.totals == {"decoding train": 16, "decoding dev": 8}
    assert again.totals == {}
    assert changed.totals == {"decoding dev": 8}


def test_refuses_data_without_the_splits_or_the_queries(spec: TrainSpec, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "1.png").write_bytes(image_bytes(3, form="PNG"))
    with pytest.raises(
        BadDataset, match=r"images: it has no split 'train'; give .*images#all.*tusou split"
    ):
        train(str(images), spec, tmp_path / "x.pt", device="cpu")
    with pytest.raises(BadDataset, match="holds images, no queries; give a query file"):
        train(f"{images}#all", spec, tmp_path / "x.pt", valid=f"{images}#all", device="cpu")
    with pytest.raises(
        BadDataset, match=r"it has no split 'valid'; give .*images#all.*tusou split"
    ):
        train(f"{images}#all", spec, tmp_path / "x.pt", device="cpu")
