"""The shipped demo model: its size, its architecture and what it finds."""

from pathlib import Path

import pytest
import torch
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import open_trainable
from tusou_lab.train.validate import validate

from tusou import demo
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset

FOLDER = Path(demo.__path__[0])


def test_is_at_most_ten_megabytes() -> None:
    assert (FOLDER / "tusou-demo.pt").stat().st_size <= 10_000_000


def test_has_the_architecture_of_its_json() -> None:
    described, shipped = (
        open_trainable(model).network.state_dict()
        for model in (str(FOLDER / "tusou-demo.json"), "demo")
    )
    shapes = {name: tensor.shape for name, tensor in described.items()}
    assert {name: tensor.shape for name, tensor in shipped.items()} == shapes


@pytest.mark.slow
def test_finds_images_it_was_not_trained_on(tmp_path: Path) -> None:
    write_toy(tmp_path, [SplitSize("test", 3000, 300)], seed=11, workers=2)
    model = open_trainable("demo")
    dataset = open_dataset(str(tmp_path))
    encoder = SplitEncoder(model.traits.transform, model.tokenize)
    split = load_split(dataset, "test", encoder, tmp_path / "cache", NoProgress())
    assert validate(model, split, torch.device("cpu"))["mean_recall"] >= 85
