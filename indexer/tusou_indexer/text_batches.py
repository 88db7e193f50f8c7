"""Batches of texts to vectors: the items of a pool that images ask for."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.item_reader import ItemReader, text_of
from tusou.core.errors import BadDataset
from tusou.core.ids import Encoding
from tusou.encoders import TextEncoder
from tusou_indexer.embed import Encode, EncodedBatch


def text_batches(files: Sequence[Path], encoding: Encoding, encoder: TextEncoder) -> Encode:
    """Return what encodes the texts at some places; `encoder` puts them into no prompt."""

    def encode(batches: Iterable[npt.NDArray[np.int64]]) -> Iterator[EncodedBatch]:
        with ItemReader(files) as pool:
            for places in batches:
                yield _encode(places, pool, encoding, encoder)

    return encode


def _encode(
    places: npt.NDArray[np.int64], pool: ItemReader, encoding: Encoding, encoder: TextEncoder
) -> EncodedBatch:
    texts: list[str] = []
    good: list[int] = []
    bad: list[tuple[int, str]] = []
    checks: list[int] = []
    for row, (_, *place) in enumerate(places.tolist()):
        stored = pool.read(*place)
        try:
            texts.append(text_of(stored, encoding))
        except BadDataset as error:  # the file has changed since it was scanned
            bad.append((row, str(error)))
            continue
        good.append(row)
        checks.append(crc32(stored))
    if not texts:
        return EncodedBatch(np.empty((0, encoder.dim), np.float32), (), tuple(bad), ())
    tokens = encoder.prepare(texts)
    vectors = encoder.encode(tokens)
    return EncodedBatch(vectors, tuple(good), tuple(bad), tuple(checks), sum(tokens.truncated))
