"""A split to train on: decoded images, tokenised queries, and the correct images of each query."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.data import Dataset, ItemPool, open_dataset
from tusou.encoders.base import Tokens
from tusou.encoders.training_record import SplitRecord
from tusou.evaluation.metrics import KS
from tusou.evaluation.pool_coverage import count_outside
from tusou.images.transform import ImageTransform
from tusou_lab.train.pixel_cache import load_images
from tusou_lab.train.pixel_stack import PixelStack
from tusou_lab.train.sources import SourceRange, TrainingSource

_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class SplitEncoder:
    """The transform and the tokenizer of a model."""

    transform: ImageTransform
    tokenize: Callable[[Sequence[str]], Tokens]


@dataclass(frozen=True, slots=True)
class DataFaults:
    """Counts of the images that a split lacks, and of the texts that were cut."""

    undecodable: int = 0  # images that cannot be decoded
    named: int = 0  # correct images that the queries name
    missing: int = 0  # of these, images that are absent or cannot be decoded
    truncated: int = 0  # queries that are longer than the model's context

    def __add__(self, other: "DataFaults") -> "DataFaults":
        """Add up the faults of two splits."""
        return DataFaults(
            self.undecodable + other.undecodable,
            self.named + other.named,
            self.missing + other.missing,
            self.truncated + other.truncated,
        )


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """One split with ids replaced by positions; only the pixels stay on disk."""

    pixels: PixelStack  # (images, size, size, 3), mapped from the cache
    texts: tuple[str, ...]  # of the queries
    tokens: NDArray[np.int64]  # (queries, width), padded with 0
    correct: tuple[NDArray[np.int64], ...]  # per query: positions of its correct images, ascending
    record: SplitRecord
    faults: DataFaults = DataFaults()
    sources: tuple[SourceRange, ...] = ()  # if there are several, or one with a weight

    def queries_of_images(self) -> tuple[NDArray[np.int64], ...]:
        """Return, for each image, the positions of the queries it is correct for."""
        queries = np.repeat(np.arange(len(self.correct)), [len(images) for images in self.correct])
        images = np.concatenate(self.correct)
        order = np.argsort(images, kind="stable")
        ends = np.cumsum(np.bincount(images, minlength=len(self.pixels)))
        return tuple(np.split(queries[order], ends[:-1]))


def load_splits(
    data: str | Sequence[TrainingSource],
    valid: str | None,
    encoder: SplitEncoder,
    cache: Path,
    progress: Progress,
    workers: int = 0,
) -> tuple[TrainingSplit, TrainingSplit]:
    """Load the split to train on and the one to validate on; see `load_split`.

    `data` is a dataset, of which the split `train` is used unless it names another (`DATA#SPLIT`),
    or several such sources. `valid` names the data to validate on; without it, the split `valid`,
    `dev` or `val` of the first source. Raises InvalidRequest if two sources are the same data.
    """
    sources = [TrainingSource(data)] if isinstance(data, str) else data
    opened = [open_dataset(source.data) for source in sources]
    names = [find_split(dataset, dataset.only or "train") for dataset in opened]
    valid_dataset = opened[0] if valid is None else open_dataset(valid)
    valid_name = find_split(valid_dataset, "valid") if valid is None else valid_dataset.split()
    # The smaller split first, so that a problem in it shows before the long decoding.
    valid_split = load_split(valid_dataset, valid_name, encoder, cache, progress, workers)
    splits = [
        load_split(dataset, name, encoder, cache, progress, workers)
        for dataset, name in zip(opened, names, strict=True)
    ]
    _check_same_data(splits, valid_split, progress)
    return join_splits(splits, sources), valid_split


def _check_same_data(
    train: Sequence[TrainingSplit], valid: TrainingSplit, progress: Progress
) -> None:
    """Raise InvalidRequest if data is named twice; warn if valid is among what is trained on."""
    names: dict[str, str] = {}
    for record in (split.record for split in train):
        if record.sha256 in names:
            raise InvalidRequest(
                f"{names[record.sha256]} and {record.source} are the same data: name it once, with "
                f"the weight 2 (DATA:2) to visit its pairs twice"
            )
        names[record.sha256] = record.source
    if valid.record.sha256 in names:
        progress.notice(
            f"warning: {valid.record.source} is trained on as well, so its mean_recall only says "
            "how well the model remembers it; validate on other data"
        )


def join_splits(
    splits: Sequence[TrainingSplit], sources: Sequence[TrainingSource]
) -> TrainingSplit:
    """Return the splits of several sources as one, in which each source has its weight."""
    if len(splits) == 1 and sources[0].weight == 1:
        return splits[0]
    width = max(split.tokens.shape[1] for split in splits)
    first = np.cumsum([0, *(len(split.pixels) for split in splits)]).tolist()
    names = [source.name(s.record.source) for source, s in zip(sources, splits, strict=True)]
    digests = [
        f"{split.record.sha256} {s.weight}" for split, s in zip(splits, sources, strict=True)
    ]
    faults = DataFaults()
    for split in splits:
        faults += split.faults
    return TrainingSplit(
        pixels=PixelStack([part for split in splits for part in split.pixels.parts]),
        texts=tuple(text for split in splits for text in split.texts),
        tokens=np.concatenate(
            [np.pad(s.tokens, ((0, 0), (0, width - s.tokens.shape[1]))) for s in splits]
        ),
        correct=tuple(
            images + start
            for split, start in zip(splits, first[:-1], strict=True)
            for images in split.correct
        ),
        record=SplitRecord(
            source=" + ".join(names),
            images=first[-1],
            queries=sum(split.record.queries for split in splits),
            sha256=sha256("\n".join(digests).encode()).hexdigest(),
        ),
        faults=faults,
        sources=tuple(
            SourceRange(len(split.texts), len(split.pixels), source.weight)
            for split, source in zip(splits, sources, strict=True)
        ),
    )


def load_split(
    dataset: Dataset,
    split: str,
    encoder: SplitEncoder,
    cache: Path,
    progress: Progress,
    workers: int = 0,
) -> TrainingSplit:
    """Load a split of a dataset in any format, with its images transformed and its texts tokenised.

    The folder `cache` keeps the decoded images, so later runs over the same data decode nothing;
    `workers` processes decode them, 0: one for each core.
    Images that cannot be decoded are skipped, and so are queries without a usable correct image.
    Raises BadDataset when the split has no images or no queries, or when no query is left.
    """
    pool, queries = dataset.images(split), dataset.queries(split)
    images = load_images(pool, split, encoder.transform, cache, progress, workers)
    positions = {item_id: position for position, item_id in enumerate(images.ids)}
    source = f"{dataset.path}#{split}"
    answers = {item_id for query in queries for item_id in query.item_ids or ()}
    if not answers:
        raise BadDataset(
            f"{source}: no query names a correct image; training needs queries with item_ids"
        )
    names = set(map(str, answers))
    count_outside(names, images.pool_ids, f"the queries of {source}", "its images")
    missing = len(names - positions.keys())
    if missing:
        progress.notice(
            f"warning: {missing} of {len(names)} correct images of {source} are missing or cannot "
            "be decoded; queries without another one are left out."
        )
    correct = []
    for query in queries:
        present = {positions.get(str(item_id), -1) for item_id in query.item_ids or ()} - {-1}
        correct.append(np.array(sorted(present), np.int64))
    usable = [number for number, images in enumerate(correct) if len(images)]
    if not usable:
        raise BadDataset(f"{source}: no {split} query has a correct image that can be decoded")
    texts = [queries[number].text for number in usable]
    record = SplitRecord(
        source=source,
        images=len(images.ids),
        queries=len(usable),
        sha256=_digest(pool, images.ids, texts, [correct[number] for number in usable]),
    )
    tokens = encoder.tokenize(texts)
    return TrainingSplit(
        PixelStack([images.pixels]),
        tuple(texts),
        tokens.ids,
        tuple(correct[number] for number in usable),
        record,
        DataFaults(images.undecodable, len(names), missing, sum(tokens.truncated)),
    )


def find_split(dataset: Dataset, name: str) -> str:
    """Return the reader's name of a split; BadDataset says how to make it."""
    try:
        return dataset.split(name)
    except BadDataset as error:
        source = f"{dataset.path}#{dataset.reader.splits()[0]}"
        advice = f"or make splits with `tusou split {source} --out FOLDER`"
        raise BadDataset(f"{error}, {advice}") from None


def _digest(
    pool: ItemPool, ids: Sequence[str], texts: Sequence[str], correct: Sequence[NDArray[np.int64]]
) -> str:
    """Return the SHA-256 of the images' files, and of the queries with their correct images."""
    digest = sha256(pool.sha256.encode())
    for text, images in zip(texts, correct, strict=True):
        row = [text, *(ids[position] for position in images.tolist())]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def check_splits(train: TrainingSplit, valid: TrainingSplit) -> str:
    """Return a sentence about a valid split that is too small, or an empty text.

    Raises BadDataset if nothing can be learnt, because there is only one pair, or measured, because
    every model finds a single image.
    """
    pairs = min(len(train.correct), len(np.unique(np.concatenate(train.correct))))
    if pairs < _LEAST_PAIRS:
        raise BadDataset(
            f"{train.record.source}: nothing can be learnt (queries: {len(train.correct)}, images: "
            f"{train.record.images}); training needs at least {_LEAST_PAIRS} queries whose correct "
            "images differ"
        )
    images = valid.record.images
    if images < _LEAST_PAIRS:
        raise BadDataset(
            f"{valid.record.source}: nothing can be measured with {images} image, since every "
            "model finds it; validate on more images"
        )
    if images > KS[-1]:
        return ""
    return (
        f"{valid.record.source} has {images} images, so hit@{KS[-1]} is 100 for every model and "
        "mean_recall says little; validate on more images"
    )
