"""Trainings with a planted fault: never worse than the start, and the cause is named."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from drawing import image_line
from tusou_lab.train.cli import train as command
from tusou_lab.train.diagnosis import RunFacts, diagnose, find_overfitting, loss_fell
from tusou_lab.train.history import TrainingHistory
from tusou_lab.train.losses import LossSpec
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec
from typer.testing import CliRunner

from tests.tusou_lab.train import test_batches
from tests.tusou_lab.train.test_start import score_of
from tusou.core.errors import BadDataset, InputError
from tusou.encoders.checkpoint import read_tensors


def write(
    folder: Path,
    texts: Sequence[str],
    seed_of: Callable[[int], int] = lambda number: number * 7,
    items_of: Callable[[int], list[int]] = lambda number: [number],
) -> str:
    """Write queries with their images to train on, and twelve distinct ones to validate on."""
    folder.mkdir()
    valid = [f"{number}号红色裙" for number in range(12)]
    for split, split_texts in (("train", texts), ("valid", valid)):
        count = range(len(split_texts))
        seeds = [seed_of(number) if split == "train" else 1000 + number * 7 for number in count]
        lines = [image_line(number, seed) for number, seed in zip(count, seeds, strict=True)]
        (folder / f"MR_{split}_imgs.tsv").write_bytes(b"".join(lines))
        rows = [
            {
                "query_id": number,
                "query_text": text,
                "item_ids": items_of(number) if split == "train" else [number],
            }
            for number, text in enumerate(split_texts)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"MR_{split}_queries.jsonl").write_text(text)
    return str(folder)


TITLES = [f"{number}号蓝色连衣裙" for number in range(24)]
ALL = list(range(24))


@pytest.fixture(scope="module")
def tuning(tiny_model: Path) -> TrainSpec:
    return TrainSpec(str(tiny_model), 2, 16, 5e-5, 0.001, 7, "fp32")


def findings(data: str, spec: TrainSpec, tmp_path: Path) -> str:
    """Train, check that the result is no worse than the start, and return what hindered it."""
    out = tmp_path / "out.pt"
    report = train(data, spec, out, device="cpu", why=True)
    assert report.start_mean_recall is not None
    assert report.best_mean_recall >= report.start_mean_recall
    cache = tmp_path / "scores"
    assert score_of(out, data, cache) >= score_of(Path(spec.model), data, cache)
    return "\n".join(report.findings)


def test_a_wrong_rate(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", TITLES)
    said = findings(data, replace(tuning, lr=1e-2), tmp_path)
    assert "the learning rate 0.01 is 200 times the 5e-05" in said
    assert "repeat with --lr 5e-05" in said


def test_a_rate_of_zero(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", TITLES)
    said = findings(data, replace(tuning, lr=0.0), tmp_path)
    assert "the learning rate 0 is far below the 5e-05" in said
    assert "times the" not in said


def test_one_class(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", ["连衣裙"] * 24, items_of=lambda _: ALL)
    said = findings(data, tuning, tmp_path)
    assert "100 % of the other images of a batch are correct for a query as well" in said
    assert "(24 queries have 1 different texts)" in said


def test_few_classes(tuning: TrainSpec, tmp_path: Path) -> None:
    texts = [f"{'红绿蓝'[number % 3]}裙" for number in range(24)]
    said = findings(write(tmp_path / "data", texts), tuning, tmp_path)
    # A third of the other images has the same label, less the query's own image.
    assert "30 % of the other images" in said


def test_one_pair(tuning: TrainSpec, tmp_path: Path) -> None:
    data, out = write(tmp_path / "data", TITLES[:1]), tmp_path / "out.pt"
    with pytest.raises(BadDataset, match=r"nothing can be learnt \(queries: 1, images: 1\)"):
        train(data, tuning, out, device="cpu", why=True)
    assert not out.exists()


def test_a_batch_larger_than_the_data(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", TITLES)
    said = findings(data, replace(tuning, batch_size=128), tmp_path)
    assert "the batch of 128 is larger than the data, so that an epoch is one step of 24" in said
    assert "the training took 2 steps" in said


def test_a_small_batch(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", TITLES[:8])
    said = findings(data, replace(tuning, batch_size=4, epochs=1), tmp_path)
    assert "a batch of 4 pairs contrasts each with 3 others" in said
    assert "a loss of 1.39" in said


def test_accumulated_batches_contrast_as_little_as_one(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", TITLES)
    spec = replace(tuning, batch_size=4, epochs=1, step=StepSpec(accumulate=6))
    assert "a batch of 4 pairs contrasts each with 3 others" in findings(data, spec, tmp_path)


def test_weights_that_are_lost_in_the_last_step_of_the_first_epoch() -> None:
    history = TrainingHistory({"mean_recall": 50.0}, [2.0, 1.0], diverged=True)
    facts = RunFacts(
        history, test_batches.split(test_batches.QUERIES), [], batch_size=16, batch_pairs=16,
        lr=1e-4, usual_lr=1e-4, largest_scale=100.0,
    )  # fmt: skip
    assert [finding.cause for finding in diagnose(facts)] == ["rate_too_high", "shared_labels"]


def test_all_duplicates(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", TITLES, seed_of=lambda _: 3)
    said = findings(data, tuning, tmp_path)
    assert "23 of the 24 images repeat another one" in said


def test_images_that_do_not_decode_and_long_queries(tuning: TrainSpec, tmp_path: Path) -> None:
    data = write(tmp_path / "data", [*TITLES[:20], *(f"{n}号{'长' * 60}裙" for n in range(4))])
    images = tmp_path / "data" / "MR_train_imgs.tsv"
    lines = images.read_bytes().splitlines(keepends=True)
    images.write_bytes(b"".join([b"0\tAAAA\n", *lines[1:]]))
    said = findings(data, tuning, tmp_path)
    assert "1 of the 24 correct images are missing or cannot be decoded, 1 images in all" in said
    assert "4 of the 23 queries are longer than the 52 tokens" in said


def test_a_temperature_at_its_limit(tuning: TrainSpec, tmp_path: Path) -> None:
    tensors = read_tensors(Path(tuning.model))
    tensors["logit_scale"] = torch.tensor(4.6052)
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "m.pt")
    data = write(tmp_path / "data", TITLES)
    said = findings(data, replace(tuning, model=str(tmp_path / "m.pt"), lr=1e-9), tmp_path)
    assert "the temperature is 0.0100, the least that the model allows" in said


def test_the_command_says_why_by_itself_and_of_a_finished_run(
    tuning: TrainSpec, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(command)
    data = write(tmp_path / "data", TITLES)
    out = tmp_path / "out.pt"
    words = [data, "--model", tuning.model, "--out", str(out), "--device", "cpu", "--lr", "0"]
    trained = CliRunner().invoke(app, words)
    assert trained.exit_code == 0
    assert "note: the learning rate 0 is far below" in trained.stderr
    before = out.read_bytes()
    asked = CliRunner().invoke(app, [*words, "--why"])
    assert asked.exit_code == 0
    assert "note: the learning rate 0 is far below" in asked.stderr
    assert asked.stdout.split(",")[0] == trained.stdout.split(",")[0]
    assert out.read_bytes() == before
    other = CliRunner().invoke(app, [*words[:-1], "1e-5", "--why"])
    assert (other.exit_code, "trained with other settings" in other.stderr) == (1, True)


def test_a_setting_of_a_finished_run_that_is_left_out_is_another(
    tuning: TrainSpec, tmp_path: Path
) -> None:
    data, out = write(tmp_path / "data", TITLES), tmp_path / "out.pt"
    spec = replace(tuning, epochs=1, losses=LossSpec("triplet", 0.3))
    train(data, spec, out, device="cpu")
    with pytest.raises(InputError, match="other settings"):
        train(data, replace(spec, losses=LossSpec("triplet")), out, device="cpu", why=True)


def test_the_data_of_a_finished_run_is_checked(tuning: TrainSpec, tmp_path: Path) -> None:
    data, out = write(tmp_path / "data", TITLES), tmp_path / "out.pt"
    train(data, replace(tuning, epochs=1), out, device="cpu")
    images = tmp_path / "data" / "MR_train_imgs.tsv"
    images.write_bytes(images.read_bytes() + image_line(99, 99))
    with pytest.raises(InputError, match="other data"):
        train(data, replace(tuning, epochs=1), out, device="cpu", why=True)


@pytest.mark.parametrize(
    ("losses", "fell"),
    [
        pytest.param([3.0, 2.0, 1.0], True, id="it falls"),
        pytest.param([3.0, 1.0, 3.0], False, id="it is where it was"),
        pytest.param([3.0], False, id="one step"),
        pytest.param([3.0, float("nan")], False, id="no number"),
        pytest.param([], False, id="no step"),
    ],
)
def test_a_loss_falls_if_its_last_tenth_is_below_its_first(losses: list[float], fell: bool) -> None:
    assert loss_fell(losses) is fell


def test_the_fall_within_a_single_epoch_is_told() -> None:
    history = TrainingHistory(start={"mean_recall": 98.0}, losses=[0.5, 0.4, 0.3])
    history.end_epoch(
        3, {"mean_recall": 97.0}, learning_rate=1e-5, pairs_per_second=1.0, temperature=None
    )
    [finding] = find_overfitting(history)
    assert "the loss fell from 0.500 to 0.300 without a better mean_recall" in finding.text
