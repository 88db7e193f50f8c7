"""Embedding of a plan's items into shards, resumable and in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.content import content_digest, decode_content
from tusou.bundle.item_reader import ItemReader, decode_stored_text
from tusou.bundle.manifest import Source
from tusou.bundle.shards import ShardStore
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import BadDataset, BadImage
from tusou.encoders import ImageEncoder, TextEncoder
from tusou.encoders.unknown_language import warn_of_language
from tusou.images.preparation import Preparation
from tusou.images.transform import Transforms, pixel_shape
from tusou.images.workers import ImageWorkers
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.decode_item import decode_item, split_decoded
from tusou_indexer.plan import Plan
from tusou_indexer.shard_assembly import (
    NO_MATCHES,
    EncodedRow,
    MatchedRows,
    Outcome,
    assemble_shard,
    unmatched_rows,
)

# Rows that need no encoding, by shard.
Matches: TypeAlias = Mapping[int, MatchedRows]

# Texts that are read to detect their language before encoding.
_SAMPLED_TEXTS = 1000


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The vectors of a batch's usable rows, and the outcome of each row."""

    vectors: Vectors  # (n, d)
    outcomes: list[tuple[int, bytes] | str]  # checksum and digest, or why the row cannot be used
    truncated: Sequence[bool]  # of each usable row, whether the model reads only a part


class EncodableRows(Protocol):
    """Rows to encode: those of a plan, or those of a shard that was sent to another machine."""

    @property
    def inputs(self) -> BuildInputs: ...

    @property
    def source(self) -> Source: ...

    @property
    def paths(self) -> list[Path]: ...

    def spans(self, rows: Ids) -> npt.NDArray[np.int64]:
        """Return line, file, byte offset and length of the rows, shape (n, 4)."""
        ...


# Yields the encoded rows of each batch, in order.
EncodeBatches: TypeAlias = Callable[[list[Ids]], Iterator[EncodedBatch]]


def embed_images(
    plan: Plan,
    store: ShardStore,
    matched: Matches,
    encoder: ImageEncoder,
    workers: int,
    progress: Progress,
) -> int:
    """Encode the images of every shard that is not stored yet; return the number encoded.

    `matched` are rows that need no encoding. Images are decoded in `workers` processes, as the
    plan's inputs say. Raises TimeoutError when a file of the source cannot be read in time, and
    OutOfMemory when the processes are killed.
    """
    max_megapixels = plan.inputs.max_megapixels
    with ImageWorkers(decode_item, workers, max_megapixels=max_megapixels) as pool:

        def encode(batches: list[Ids]) -> Iterator[EncodedBatch]:
            return encode_images(plan, batches, pool, encoder)

        # Vectors do not depend on their batch, so batches are filled across shards.
        return _embed(plan, store, matched, encode, encoder.dim, progress, across_shards=True)


def embed_texts(
    plan: Plan, store: ShardStore, matched: Matches, encoder: TextEncoder, progress: Progress
) -> int:
    """Encode the texts of every shard that is not stored yet; return the number encoded.

    `matched` are rows that need no encoding. The encoder must not use a prompt: prompts are for
    queries.
    """
    if warning := warn_of_language(list(sample_texts(plan)), encoder.unknown_share):
        progress.notice(warning)
    with ItemReader(plan.paths) as reader:

        def encode(batches: list[Ids]) -> Iterator[EncodedBatch]:
            return encode_texts(plan, batches, reader, encoder)

        return _embed(plan, store, matched, encode, encoder.dim, progress, across_shards=False)


def encode_images(
    rows: EncodableRows, batches: list[Ids], pool: ImageWorkers, encoder: ImageEncoder
) -> Iterator[EncodedBatch]:
    """Yield the encoded images of each batch, decoded by a pool of `decode_item`."""
    # One stream over all batches, so that decoding runs ahead of encoding.
    decoded = pool.map(_jobs(rows, batches, encoder.transform))
    for batch in batches:
        yield _encode_images(list(islice(decoded, len(batch))), encoder, rows.inputs.batch_rows)


def encode_texts(
    rows: EncodableRows, batches: list[Ids], reader: ItemReader, encoder: TextEncoder
) -> Iterator[EncodedBatch]:
    """Yield the encoded texts of each batch."""
    return (_encode_texts(rows, batch, reader, encoder) for batch in batches)


def sample_texts(plan: Plan) -> Iterator[str]:
    """Yield the first thousand texts of a plan, as far as they can be read."""
    with ItemReader(plan.paths) as reader:
        for _, *span in plan.spans(range(min(len(plan), _SAMPLED_TEXTS))).tolist():
            with suppress(BadDataset):
                yield decode_stored_text(reader.read(*span), plan.source.encoding)


def _embed(
    plan: Plan,
    store: ShardStore,
    matched: Matches,
    encode: EncodeBatches,
    dim: int,
    progress: Progress,
    *,
    across_shards: bool,
) -> int:
    missing = [number for number in range(plan.shard_count) if not store.has(number)]
    rows = [unmatched_rows(plan, number, matched.get(number, NO_MATCHES)) for number in missing]
    streams = [np.concatenate(rows)] if across_shards else rows
    batches = [
        batch for stream in streams for batch in split_batches(stream, plan.inputs.batch_rows)
    ]
    progress.begin("encoding", len(plan), len(plan) - sum(map(len, rows)))
    outcomes = row_outcomes(batches, encode(batches), progress)
    encoded = 0
    for number in missing:
        matches = matched.get(number, NO_MATCHES)
        shard, vectors = assemble_shard(plan, number, matches, outcomes, dim)
        store.write(number, shard, vectors)
        encoded += len(shard.rows) - len(matches.rows)
    return encoded


def split_batches(rows: Ids, size: int) -> Iterator[Ids]:
    """Yield the rows in batches of `size`, of which the last may be shorter."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def row_outcomes(
    batches: list[Ids], encoded: Iterable[EncodedBatch], progress: Progress
) -> Iterator[Outcome]:
    """Yield the outcome of every row of the batches, in order."""
    for batch, result in zip(batches, encoded, strict=True):
        progress.advance(len(batch))
        vectors = iter(result.vectors)
        truncated = iter(result.truncated)
        for outcome in result.outcomes:
            if isinstance(outcome, str):
                yield outcome
                continue
            vector = next(vectors)
            finite = np.isfinite(vector).all()
            row = EncodedRow(*outcome, vector, next(truncated))
            yield row if finite else "embedding is not finite"


def _jobs(
    rows: EncodableRows, batches: list[Ids], transform: Transforms
) -> Iterator[tuple[object, ...]]:
    paths, encoding = [str(path) for path in rows.paths], rows.source.encoding
    how = Preparation.parse(rows.inputs.prepare), rows.inputs.max_megapixels
    for batch in batches:
        for _, file, offset, length in rows.spans(batch).tolist():
            yield paths[file], offset, length, encoding, transform, *how


def _encode_images(
    decoded: list[bytes | BadImage], encoder: ImageEncoder, batch_rows: int
) -> EncodedBatch:
    """Encode the decoded images in a batch of exactly `batch_rows`, the last of them blank.

    The last digits of a vector depend on how many images share its pass, not on which they are
    (`python -m benchmarks.batch_independence`). So every image has the vector of any other build.
    """
    outcomes: list[tuple[int, bytes] | str] = []
    transform, count = encoder.transform, 0
    pixels = np.zeros((batch_rows, *pixel_shape(transform)), np.uint8)
    for result in decoded:
        if isinstance(result, BadImage):
            outcomes.append(str(result))
            continue
        check, content, pixels[count] = split_decoded(result, transform)
        outcomes.append((check, content))
        count += 1
    if not count:
        return EncodedBatch(np.empty((0, encoder.dim), np.float32), outcomes, ())
    return EncodedBatch(encoder.encode(pixels)[:count], outcomes, [False] * count)


def _encode_texts(
    rows: EncodableRows, batch: Ids, reader: ItemReader, encoder: TextEncoder
) -> EncodedBatch:
    texts: list[str] = []
    outcomes: list[tuple[int, bytes] | str] = []
    for _, *span in rows.spans(batch).tolist():
        stored = reader.read(*span)
        try:
            content = decode_content(stored, "texts", rows.source.encoding)
        except BadDataset as error:  # the file has changed since it was scanned
            outcomes.append(str(error))
        else:
            texts.append(content.decode(errors="surrogatepass"))
            outcomes.append((crc32(stored), content_digest(content)))
    tokens = encoder.prepare(texts)
    return EncodedBatch(encoder.encode(tokens), outcomes, tokens.truncated)
