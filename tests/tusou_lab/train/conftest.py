"""Fixtures of a small training run: its data, its settings and its result."""

import json

import pytest
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.run import TrainReport, train
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import TEXT, VISION


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, [SplitSize("train", 24, 24), SplitSize("valid", 20, 6)], seed=1)
    return str(folder)


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> TrainSpec:
    path = tmp_path_factory.mktemp("model") / "tiny.json"
    path.write_text(json.dumps(VISION | TEXT))
    return TrainSpec(str(path), 3, 8, 1e-3, 0.05, 7, "fp32")


@pytest.fixture(scope="session")
def uninterrupted(
    data: str, spec: TrainSpec, tmp_path_factory: pytest.TempPathFactory
) -> TrainReport:
    """Train once without interruption."""
    return train(data, spec, tmp_path_factory.mktemp("uninterrupted") / "model.pt", device="cpu")
