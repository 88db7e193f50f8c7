"""A split to train on: decoded images, tokenised queries, and the correct images of each query."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import BadDataset, BadImage
from tusou.data import Dataset, ItemPool, ItemRow, open_dataset
from tusou.encoders.base import Tokens
from tusou.encoders.training_record import SplitRecord
from tusou.evaluation.metrics import KS
from tusou.evaluation.pool_coverage import count_outside
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform, pixel_shape

_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class SplitEncoder:
    """The transform and the tokenizer of a model."""

    transform: ImageTransform
    tokenize: Callable[[Sequence[str]], Tokens]


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """One split with ids replaced by positions; only the pixels stay on disk."""

    pixels: Pixels  # (images, size, size, 3), mapped from the cache
    texts: tuple[str, ...]  # of the queries
    tokens: NDArray[np.int64]  # (queries, width), padded with 0
    correct: tuple[NDArray[np.int64], ...]  # per query: positions of its correct images, ascending
    record: SplitRecord

    def queries_of_images(self) -> tuple[NDArray[np.int64], ...]:
        """Return, for each image, the positions of the queries it is correct for."""
        queries = np.repeat(np.arange(len(self.correct)), [len(images) for images in self.correct])
        images = np.concatenate(self.correct)
        order = np.argsort(images, kind="stable")
        ends = np.cumsum(np.bincount(images, minlength=len(self.pixels)))
        return tuple(np.split(queries[order], ends[:-1]))


def load_splits(
    data: str, valid: str | None, encoder: SplitEncoder, cache: Path, progress: Progress
) -> tuple[TrainingSplit, TrainingSplit]:
    """Load the split to train on and the one to validate on; see `load_split`.

    `data` is a dataset, of which the split `train` is used unless it names another (`DATA#SPLIT`).
    `valid` names the data to validate on; without it, the split `valid`, `dev` or `val` of `data`.
    """
    dataset = open_dataset(data)
    valid_dataset = dataset if valid is None else open_dataset(valid)
    train_name = _find_split(dataset, dataset.only or "train")
    valid_name = _find_split(valid_dataset, "valid") if valid is None else valid_dataset.split()
    # The smaller split first, so that a problem in it shows before the long decoding.
    valid_split = load_split(valid_dataset, valid_name, encoder, cache, progress)
    return load_split(dataset, train_name, encoder, cache, progress), valid_split


def load_split(
    dataset: Dataset, split: str, encoder: SplitEncoder, cache: Path, progress: Progress
) -> TrainingSplit:
    """Load a split of a dataset in any format, with its images transformed and its texts tokenised.

    The folder `cache` keeps the decoded images, so later runs over the same data decode nothing.
    Images that cannot be decoded are skipped, and so are queries without a usable correct image.
    Raises BadDataset when the split has no images or no queries, or when no query is left.
    """
    pool, queries = dataset.images(split), dataset.queries(split)
    pool_ids, ids, pixels = _load_images(pool, split, encoder.transform, cache, progress)
    positions = {item_id: position for position, item_id in enumerate(ids)}
    source = f"{dataset.path}#{split}"
    answers = {item_id for query in queries for item_id in query.item_ids or ()}
    if not answers:
        raise BadDataset(
            f"{source}: no query names a correct image; training needs queries with item_ids"
        )
    names = set(map(str, answers))
    count_outside(names, pool_ids, f"the queries of {source}", "its images")
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
        images=len(ids),
        queries=len(usable),
        sha256=_digest(pool, ids, texts, [correct[number] for number in usable]),
    )
    tokens = encoder.tokenize(texts)
    images = tuple(correct[number] for number in usable)
    return TrainingSplit(pixels, tuple(texts), tokens.ids, images, record)


def _find_split(dataset: Dataset, name: str) -> str:
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
            f"{train.record.source}: nothing can be learnt from {len(train.correct)} queries and "
            f"{train.record.images} images; training contrasts at least {_LEAST_PAIRS} queries "
            "whose correct images differ"
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


def _load_images(
    pool: ItemPool, split: str, transform: ImageTransform, cache: Path, progress: Progress
) -> tuple[set[str], list[str], Pixels]:
    """Return all ids, then the ids and pixels of the images that can be decoded, in pool order.

    The cache key is a digest of the images' bytes and ids: data that changed is decoded again,
    wherever it lies.
    """
    progress.begin(f"reading {split}", 0)
    rows = []
    for row in pool.scan_in_time():
        progress.advance()
        if isinstance(row, ItemRow):
            rows.append(row)
    for sentence in pool.skipped.sentences():
        progress.notice(f"{split}: skipped {sentence}")
    key = blake2b(f"{pool.sha256} {transform}".encode(), digest_size=12)
    for row in rows:
        key.update(f"\0{row.item_id}".encode())
    index, array = (cache / f"{split}-{key.hexdigest()}.{ending}" for ending in ("json", "npy"))
    if not index.exists():
        cache.mkdir(parents=True, exist_ok=True)
        ids: list[str] = []
        decoded = open_memmap(array, "w+", np.uint8, (len(rows), *pixel_shape(transform)))
        progress.begin(f"decoding {split}", len(rows))
        with ItemReader(pool.files) as reader:
            for row in rows:
                progress.advance()
                stored = reader.read(row.file, row.offset, row.length)
                try:
                    image = open_image(decode_stored_image(stored, pool.encoding))
                except BadImage:
                    continue
                decoded[len(ids)] = to_pixels(image, transform)
                ids.append(row.item_id)
        decoded.flush()
        index.write_text(json.dumps(ids))  # written last: it marks the array as complete
    ids = json.loads(index.read_text())
    pool_ids = {row.item_id for row in rows}
    return pool_ids, ids, np.load(array, mmap_mode="r")[: len(ids)]
