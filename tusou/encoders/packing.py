"""Packing of texts side by side into one row of tokens, so that no padding is computed."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids

_STEPS = 16  # row counts between a power of two and the next
# The fewest tokens of a pass: with fewer, reading the weights costs more than computing with them.
MIN_PASS_TOKENS = 32

# Tokens of a pass on a processor: enough to keep a core busy, few enough to stay in its cache.
# oneDNN also compiles a kernel for every row count (`pack`).
PASS_TOKENS = 160
USUAL_TOKENS = range(3, 17)  # tokens of a single query


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """The tokens of several texts in one row, then filler tokens that belong to no text."""

    ids: npt.NDArray[np.int64]  # (tokens,)
    positions: npt.NDArray[np.int64]  # (tokens,), counted within each text
    starts: npt.NDArray[np.int64]  # (texts,), index of each text's [CLS]
    lengths: npt.NDArray[np.int64]  # (texts,), tokens of each text


def pack(ids: npt.NDArray[np.int64]) -> PackedTokens:
    """Pack rows of token ids, which are padded with 0, and append filler tokens.

    oneDNN compiles every linear layer anew for each row count, which takes milliseconds and half a
    megabyte that it keeps. Filler tokens, at most a sixteenth of the texts' tokens, limit the
    number of different row counts.
    """
    real = ids != 0
    lengths = real.sum(axis=1)
    total = int(lengths.sum())
    filler = (0, round_up_count(total) - total)
    return PackedTokens(
        np.pad(ids[real], filler),
        np.pad(real.nonzero()[1], filler),
        lengths.cumsum() - lengths,
        lengths,
    )


def round_up_count(count: int) -> int:
    """Round up to one of sixteen counts between a power of two and the next."""
    step = 1 << max(0, (count // _STEPS).bit_length() - 1)
    return -(-count // step) * step


def split_batch(lengths: Ids, max_tokens: int, parallel: int = 1) -> list[Ids]:
    """Split texts of these lengths into passes of about equal tokens, the shortest texts first.

    Returns the rows of each pass. Their number is a multiple of `parallel`, the passes that run at
    the same time, unless passes would become smaller than `MIN_PASS_TOKENS`.
    """
    order = np.argsort(lengths, kind="stable")
    middles = lengths[order].cumsum() - lengths[order] / 2
    total = int(lengths.sum())
    rounds = ceil(total / max_tokens / parallel)
    count = max(1, min(rounds * parallel, total // MIN_PASS_TOKENS))
    cuts = np.searchsorted(middles, [total * part / count for part in range(1, count)])
    return [rows for rows in np.split(order, cuts) if len(rows)]
