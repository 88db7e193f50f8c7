"""Likely causes of a training that does not improve, each with a figure and a remedy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, log
from statistics import fmean

import numpy as np

from tusou_lab.check.near_duplicates import Groups
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.history import TrainingHistory
from tusou_lab.train.identities import PairIdentities

_SMALL_BATCH = 16
_FEW_STEPS = 20
_SHARED = 0.1  # of the other images of a batch: more is reported
_REPEATED = 0.1  # of the images of a split
_RATE_FACTOR = 5.0  # above the usual rate, or a hundred times as much below
_SAMPLE = 512  # pairs that shared labels are counted among
_FALL = 0.99  # of the first losses, which the last ones are below if the loss fell


@dataclass(frozen=True, slots=True)
class TrainingFinding:
    """A cause by its name, and a sentence with its number and what to do."""

    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A finished run: its history, its data and its settings."""

    history: TrainingHistory
    split: TrainingSplit
    duplicates: Groups
    batch_size: int  # as it was asked for
    batch_pairs: int  # as many as the data has
    lr: float
    usual_lr: float
    largest_scale: float | None


def loss_fell(losses: Sequence[float]) -> bool:
    """Return whether the mean of the last tenth of the losses is below that of the first."""
    if len(losses) < 2 or not isfinite(losses[-1]):
        return False
    first, last = _ends(losses)
    return last < _FALL * first


def _ends(losses: Sequence[float]) -> tuple[float, float]:
    """Return the mean loss of the first and of the last tenth of the steps."""
    count = max(1, len(losses) // 10)
    return fmean(losses[:count]), fmean(losses[-count:])


def diagnose(facts: RunFacts) -> list[TrainingFinding]:
    """Return the causes that apply, the most likely ones first."""
    return [
        *_rate(facts),
        *_labels(facts),
        *_repeated_images(facts),
        *_batch(facts),
        *_data_faults(facts),
        *find_overfitting(facts.history),
        *_temperature(facts),
    ]


def _rate(facts: RunFacts) -> Iterator[TrainingFinding]:
    history = facts.history
    factor = facts.lr / facts.usual_lr
    outcome = _describe_recall(history)
    if history.diverged:
        outcome = f"the weights became infinite or NaN at step {len(history.losses)}"
    if factor >= _RATE_FACTOR:
        yield TrainingFinding(
            "rate_too_high",
            f"the learning rate {facts.lr:g} is {factor:.0f} times the {facts.usual_lr:g} that "
            f"suits this model, and {outcome}: repeat with --lr {facts.usual_lr:g}",
        )
    elif history.diverged:
        yield TrainingFinding("rate_too_high", f"{outcome}: repeat with --lr {facts.lr / 10:g}")
    elif factor <= 1 / 100:
        yield TrainingFinding(
            "rate_too_low",
            f"the learning rate {facts.lr:g} is far below the {facts.usual_lr:g} that suits this "
            f"model: repeat with --lr {facts.usual_lr:g}",
        )


def _describe_recall(history: TrainingHistory) -> str:
    if history.start is None or not history.epochs:
        return "no epoch was finished"
    start, last = (p["mean_recall"] for p in (history.start, history.epochs[-1].percent))
    return f"mean_recall on valid went from {start:.2f} to {last:.2f}"


def _labels(facts: RunFacts) -> Iterator[TrainingFinding]:
    split = facts.split
    share = shared_labels(split)
    if share < _SHARED:
        return
    texts = len(set(split.texts))
    yield TrainingFinding(
        "shared_labels",
        f"{100 * share:.0f} % of the other images of a batch are correct for a query as well "
        f"({len(split.texts):,} queries have {texts:,} different texts), and no loss can tell "
        "these apart: train on queries that describe single items, such as titles",
    )


def shared_labels(split: TrainingSplit) -> float:
    """Return the share of other pairs' images that are correct for a query, in large batches."""
    rng = np.random.default_rng(0)
    queries = rng.permutation(len(split.correct))[:_SAMPLE]
    images = np.array([rng.choice(split.correct[query]) for query in queries.tolist()])
    queries, images = _with_other_images(split, queries, images, rng)
    correct = PairIdentities.of(split).are_correct(queries, images)
    other = images[None, :] != images[:, None]
    return float(correct[other].mean()) if other.any() else 1.0


def _with_other_images(
    split: TrainingSplit,
    queries: np.ndarray[tuple[int], np.dtype[np.int64]],
    images: np.ndarray[tuple[int], np.dtype[np.int64]],
    rng: np.random.Generator,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Fill a sample of few queries up with further pairs of theirs, as epochs by image do."""
    if len(queries) >= _SAMPLE:
        return queries, images
    pairs = [(query, image) for query in queries.tolist() for image in split.correct[query]]
    chosen = rng.permutation(len(pairs))[:_SAMPLE]
    sampled = np.array(pairs, np.int64)[chosen]
    return sampled[:, 0], sampled[:, 1]


def _repeated_images(facts: RunFacts) -> Iterator[TrainingFinding]:
    images = len(facts.split.pixels)
    repeated = len({image for group in facts.duplicates for image in group[1:]})
    if repeated / images >= _REPEATED:
        yield TrainingFinding(
            "duplicates",
            f"{repeated:,} of the {images:,} images repeat another one, so nothing distinguishes "
            "their queries: `tusou check DATA` lists them; keep one of each",
        )


def _batch(facts: RunFacts) -> Iterator[TrainingFinding]:
    pairs, size, steps = facts.batch_pairs, facts.batch_size, len(facts.history.losses)
    if pairs < size:
        yield TrainingFinding(
            "batch_larger_than_data",
            f"the batch of {size} is larger than the data, so that an epoch is one step of "
            f"{pairs} pairs: repeat with --batch-size {max(2, pairs // 8)}, or train on more pairs",
        )
    elif pairs < _SMALL_BATCH:
        yield TrainingFinding(
            "batch_too_small",
            f"a batch of {pairs} pairs contrasts each with {pairs - 1} others, so guessing already "
            f"has a loss of {log(pairs):.2f}: repeat with --batch-size {2 * _SMALL_BATCH} or more",
        )
    if steps < _FEW_STEPS and not facts.history.diverged:
        yield TrainingFinding(
            "few_steps",
            f"the training took {steps} steps: repeat with more --epochs or a smaller --batch-size",
        )


def _data_faults(facts: RunFacts) -> Iterator[TrainingFinding]:
    faults, split = facts.split.faults, facts.split
    if faults.missing or faults.undecodable:
        yield TrainingFinding(
            "undecodable_images",
            f"{faults.missing:,} of the {faults.named:,} correct images are missing or cannot be "
            f"decoded, {faults.undecodable:,} images in all cannot: `tusou check DATA` lists them",
        )
    if faults.truncated:
        yield TrainingFinding(
            "long_queries",
            f"{faults.truncated:,} of the {len(split.texts):,} queries are longer than the "
            f"{split.tokens.shape[1]} tokens that the model reads, and were cut: put what "
            "distinguishes items first, or shorten them",
        )


def find_overfitting(history: TrainingHistory) -> Iterator[TrainingFinding]:
    """Yield a finding if the losses of the steps fell and no epoch is better than the start."""
    if history.start is None or not history.epochs or history.best()[0]:
        return
    if not loss_fell(history.losses):
        return
    first, last = _ends(history.losses)
    yield TrainingFinding(
        "overfitting",
        f"the loss fell from {first:.3f} to {last:.3f} without a better mean_recall on valid: "
        "train on more pairs or on pairs like those of valid, with a smaller --lr, or with --lora "
        "or --freeze vision",
    )


def _temperature(facts: RunFacts) -> Iterator[TrainingFinding]:
    limit, epochs = facts.largest_scale, facts.history.epochs
    if limit is None or not epochs or epochs[-1].temperature is None:
        return
    temperature = epochs[-1].temperature
    if temperature <= 1.001 / limit:
        yield TrainingFinding(
            "temperature_at_limit",
            f"the temperature is {temperature:.4f}, the least that the model allows. Published "
            "models start there; otherwise it is a sign of overfitting: repeat with fewer "
            "--epochs or a smaller --lr",
        )
