"""A cross-encoder learns what the towers do not see; runs resume, and refuse other inputs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tusou_lab.train import loop
from tusou_lab.train.rerank.run import RerankReport, train_reranker

from tests.tusou_lab.train.rerank.conftest import SPEC
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InputError, OutputExists
from tusou.encoders import find_weights
from tusou.encoders.cross.checkpoint import read_cross
from tusou.encoders.training_record import read_record


class KillIn(NoProgress):
    """Interrupts the run in a step of its training."""

    def __init__(self, step: int) -> None:
        self._step, self._left = step, 0

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._left = self._step if label == "training" else 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self._left == 1:
            raise KeyboardInterrupt
        self._left -= self._left > 0


def test_learns_a_relation_that_the_towers_do_not_see(trained: RerankReport) -> None:
    assert trained.base_mean_recall < 80
    assert trained.best_mean_recall == 100
    record = read_record(trained.checkpoint)
    assert record is not None
    assert record.settings["task"] == "rerank"
    assert record.best_mean_recall == 100
    assert (record.train.queries, record.train.images, record.valid.images) == (5, 120, 40)


def test_the_file_tells_its_towers_and_its_training(
    trained: RerankReport, tiny_model: Path
) -> None:
    checkpoint = read_cross(trained.checkpoint, [find_weights(str(tiny_model)).digest])
    assert checkpoint.training["epoch"] == trained.best_epoch
    assert checkpoint.training["valid mean_recall"] == 100
    assert checkpoint.network.shape.image_tokens == 5


@pytest.mark.services
def test_a_killed_run_resumes_to_the_same_weights(
    planted: str,
    bundle: Path,
    trained: RerankReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    out = tmp_path / "重排.pt"
    with pytest.raises(KeyboardInterrupt):
        train_reranker(planted, SPEC, bundle, out, device="cpu", progress=KillIn(5))
    with pytest.raises(InputError, match="other settings"):
        train_reranker(planted, replace(SPEC, layers=3), bundle, out, device="cpu")
    train_reranker(planted, SPEC, bundle, out, device="cpu")
    ours, theirs = (torch.load(path, weights_only=True) for path in (out, trained.checkpoint))
    assert ours["training"] == theirs["training"]
    for name, tensor in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][name], tensor)
    with pytest.raises(OutputExists):
        train_reranker(planted, SPEC, bundle, out, device="cpu")


def test_data_without_correct_images_is_refused(planted: str, bundle: Path, tmp_path: Path) -> None:
    rows = [{"query_id": 1, "query_text": "红色包"}]
    for split in ("train", "valid"):
        images = Path(planted, f"MR_{split}_imgs.tsv").read_bytes()
        (tmp_path / f"MR_{split}_imgs.tsv").write_bytes(images)
        (tmp_path / f"MR_{split}_queries.jsonl").write_text(json.dumps(rows[0]))
    with pytest.raises(BadDataset, match="item_ids"):
        train_reranker(str(tmp_path), SPEC, bundle, tmp_path / "x.pt", device="cpu")
