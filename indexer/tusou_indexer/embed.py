"""Embedding of a plan's items into shards, resumable and in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.item_reader import ItemReader, decode_stored_text
from tusou.bundle.shards import Shard, ShardStore
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels, Vectors
from tusou.core.errors import BadDataset, BadImage
from tusou.encoders import ImageEncoder, TextEncoder
from tusou.images.preparation import Preparation
from tusou.images.workers import ImageWorkers
from tusou_indexer.decode_item import decode_item, split_decoded
from tusou_indexer.plan import Plan

# Texts that are read to detect their language before encoding.
_SAMPLED_TEXTS = 1000


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The vectors of a batch's usable rows, and the outcome of each row."""

    vectors: Vectors  # (n, d)
    outcomes: list[int | str]  # CRC-32 of the stored bytes, or why the row cannot be used
    truncated: int = 0  # texts longer than the model reads


# Yields the encoded rows of each batch, in order.
EncodeBatches: TypeAlias = Callable[[list[range]], Iterator[EncodedBatch]]


def embed_images(
    plan: Plan, store: ShardStore, encoder: ImageEncoder, workers: int, progress: Progress
) -> int:
    """Encode every image shard that is not stored yet; return the number of images encoded.

    Images are decoded in `workers` processes, as the plan's inputs say. Raises TimeoutError when
    a file of the source cannot be read in time, and OutOfMemory when the processes are killed.
    """
    max_megapixels = plan.inputs.max_megapixels
    with ImageWorkers(decode_item, workers, max_megapixels=max_megapixels) as pool:

        def encode(batches: list[range]) -> Iterator[EncodedBatch]:
            # One stream over all batches, so that decoding runs ahead of encoding.
            decoded = pool.map(_jobs(plan, batches, encoder.image_size))
            for batch in batches:
                yield _encode_images(list(islice(decoded, len(batch))), encoder)

        return _embed(plan, store, encode, progress)


def embed_texts(plan: Plan, store: ShardStore, encoder: TextEncoder, progress: Progress) -> int:
    """Encode every text shard that is not stored yet; return the number of texts encoded.

    The encoder must not use a prompt: prompts are for queries.
    """
    with ItemReader(plan.paths) as reader:

        def encode(batches: list[range]) -> Iterator[EncodedBatch]:
            return (_encode_texts(plan, batch, reader, encoder) for batch in batches)

        return _embed(plan, store, encode, progress)


def sample_texts(plan: Plan) -> Iterator[str]:
    """Yield the first thousand texts of a plan, as far as they can be read."""
    with ItemReader(plan.paths) as reader:
        for _, *span in plan.spans(range(min(len(plan), _SAMPLED_TEXTS))).tolist():
            with suppress(BadDataset):
                yield decode_stored_text(reader.read(*span), plan.source.encoding)


def _embed(plan: Plan, store: ShardStore, encode: EncodeBatches, progress: Progress) -> int:
    missing = [number for number in range(plan.shard_count) if not store.has(number)]
    rows = sum(len(plan.shard(number)) for number in missing)
    progress.begin("encoding", len(plan), len(plan) - rows)
    batches = encode([batch for number in missing for batch in plan.batches(number)])
    encoded = 0
    for number in missing:
        shard, vectors = _read_shard(plan, number, batches, progress)
        store.write(number, shard, vectors)
        encoded += len(shard.rows)
    return encoded


def _jobs(plan: Plan, batches: list[range], size: int) -> Iterator[tuple[object, ...]]:
    paths, encoding = [str(path) for path in plan.paths], plan.source.encoding
    how = Preparation.parse(plan.inputs.prepare), plan.inputs.max_megapixels
    for batch in batches:
        for _, file, offset, length in plan.spans(batch).tolist():
            yield paths[file], offset, length, encoding, size, *how


def _encode_images(decoded: list[bytes | BadImage], encoder: ImageEncoder) -> EncodedBatch:
    pixels: list[Pixels] = []
    outcomes: list[int | str] = []
    for result in decoded:
        if isinstance(result, BadImage):
            outcomes.append(str(result))
            continue
        check, image = split_decoded(result, encoder.image_size)
        outcomes.append(check)
        pixels.append(image)
    if not pixels:
        return EncodedBatch(np.empty((0, encoder.dim), np.float32), outcomes)
    return EncodedBatch(encoder.encode(np.stack(pixels)), outcomes)


def _encode_texts(
    plan: Plan, batch: range, reader: ItemReader, encoder: TextEncoder
) -> EncodedBatch:
    texts: list[str] = []
    outcomes: list[int | str] = []
    for _, *span in plan.spans(batch).tolist():
        stored = reader.read(*span)
        try:
            texts.append(decode_stored_text(stored, plan.source.encoding))
        except BadDataset as error:  # the file has changed since it was scanned
            outcomes.append(str(error))
        else:
            outcomes.append(crc32(stored))
    tokens = encoder.prepare(texts)
    return EncodedBatch(encoder.encode(tokens), outcomes, sum(tokens.truncated))


def _read_shard(
    plan: Plan, number: int, encoded: Iterator[EncodedBatch], progress: Progress
) -> tuple[Shard, Vectors]:
    """Collect one shard and its vectors from the next encoded batches."""
    rows: list[int] = []
    checks: list[int] = []
    vectors: list[Vectors] = []
    bad: dict[int, str] = {}
    truncated = 0
    for batch in plan.batches(number):
        result = next(encoded)
        finite: npt.NDArray[np.bool_] = np.all(np.isfinite(result.vectors), axis=1)
        vectors.append(result.vectors[finite])
        usable = iter(finite.tolist())
        for row, outcome in zip(batch, result.outcomes, strict=True):
            if isinstance(outcome, str):
                bad[row] = outcome
            elif next(usable):
                rows.append(row)
                checks.append(outcome)
            else:
                bad[row] = "embedding is not finite"
        truncated += result.truncated
        progress.advance(len(batch))
    span = plan.shard(number)
    ids = islice(plan.ids(), span.start, span.stop) if bad else ()  # a file, read from its start
    failures = [
        plan.failure(row, item_id, bad[row])
        for row, item_id in zip(span, ids, strict=False)
        if row in bad
    ]
    shard = Shard(np.array(rows, np.int64), np.array(checks, np.int64), failures, truncated)
    return shard, np.concatenate(vectors)
