"""Training on several sources, each with a weight."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train import loop
from tusou_lab.train.batches import PairSampler
from tusou_lab.train.pixel_stack import PixelStack
from tusou_lab.train.run import train
from tusou_lab.train.sources import SourceRange, TrainingSource, parse_source
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.test_loop import Notices
from tests.tusou_lab.train.training import BEST_EPOCH, KillAfter, assert_same_weights
from tusou.core.errors import InputError, InvalidRequest
from tusou.encoders.training_record import read_record


@pytest.mark.parametrize(
    ("text", "source"),
    [
        pytest.param("data", TrainingSource("data"), id="alone"),
        pytest.param("data#train", TrainingSource("data#train"), id="a split"),
        pytest.param("data#train:0.3", TrainingSource("data#train", 0.3), id="a weight"),
        pytest.param("a:b", TrainingSource("a:b"), id="no number"),
    ],
)
def test_a_weight_follows_a_colon(text: str, source: TrainingSource) -> None:
    assert parse_source(text) == source


def test_a_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "data:2"
    path.mkdir()
    assert parse_source(f"{path}#train") == TrainingSource(f"{path}#train")
    assert parse_source(f"{path}:3") == TrainingSource(str(path), 3)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf"])
def test_a_weight_is_above_zero(weight: str) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        parse_source(f"data:{weight}")


def test_stacked_images_are_those_of_one_array() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (count, 2, 2, 3), np.uint8) for count in (3, 1, 5)]
    stack, whole = PixelStack(parts), np.concatenate(parts)
    assert (len(stack), stack.shape) == (9, whole.shape)
    for rows in (np.array([8, 0, 3, 3, -1]), slice(2, 7), slice(None), np.array([], np.int64)):
        np.testing.assert_array_equal(stack[rows], whole[rows])
    np.testing.assert_array_equal(stack[4], whole[4])
    np.testing.assert_array_equal(np.stack(list(stack)), whole)
    with pytest.raises(IndexError):
        stack[np.array([9])]


def sampler(*weights: float) -> PairSampler:
    """Return pairs of two sources: ten queries with an image each, and one with ten images."""
    correct = [np.array([n]) for n in range(10)] + [np.arange(10, 20)]
    queries = [np.array([n]) for n in range(10)] + [np.array([10])] * 10
    ranges = [SourceRange(q, 10, weight) for q, weight in zip((10, 1), weights, strict=True)]
    return PairSampler(correct, queries, 1, 0, ranges)


def test_an_epoch_visits_each_source_as_often_as_its_weight_says() -> None:
    pairs = sampler(0.3, 2.0)
    epochs = [list(pairs.epoch(number)) for number in range(8)]
    assert len(pairs) == len(epochs[0]) == 23
    drawn = [Counter(int(batch.queries[0]) for batch in epoch) for epoch in epochs]
    assert all(counts[10] == 20 for counts in drawn)
    assert all(max(counts[n] for n in range(10)) == 1 for counts in drawn)
    assert {n for counts in drawn for n in counts} == set(range(11))  # others in each epoch
    images = Counter(int(batch.images[0]) for batch in epochs[0])
    assert all(images[n] == 2 for n in range(10, 20))


@pytest.fixture(scope="module")
def sources(data: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("second")
    write_toy(folder, [SplitSize("train", 20, 20)], seed=9)
    return data, f"{folder}#train:0.5"


def test_a_mixture_resumes_to_the_same_weights_and_its_weights_are_part_of_it(
    sources: tuple[str, str], spec: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, second = sources
    spec = replace(spec, epochs=2, stopping=BEST_EPOCH)
    whole = train(data, spec, tmp_path / "whole.pt", further=[second], device="cpu")
    assert whole.steps == 2 * ((24 + 10) // 8)
    record = read_record(tmp_path / "whole.pt")
    assert record is not None
    assert record.train.source == f"{data}#train + {second}"
    assert (record.train.images, record.train.queries) == (44, 44)
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    out = tmp_path / "killed.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, further=[second], device="cpu", progress=KillAfter(6))
    other = second.replace(":0.5", ":0.6")
    with pytest.raises(InputError, match="other data"):
        train(data, spec, out, further=[other], device="cpu")
    train(data, spec, out, further=[second], device="cpu")
    assert_same_weights(out, whole.checkpoint)


def test_the_same_data_twice_is_refused(data: str, spec: TrainSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"are the same data: name it once, .* \(DATA:2\)"):
        train(data, spec, tmp_path / "x.pt", device="cpu", further=[f"{data}#train:0.5"])


def test_a_model_that_is_validated_on_its_training_is_told_so(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    notices = Notices()
    settings = replace(spec, epochs=1, batch_size=4)
    train(f"{data}#valid", settings, tmp_path / "x.pt", device="cpu", progress=notices)
    assert any("#valid is trained on as well" in message for message in notices.messages)
