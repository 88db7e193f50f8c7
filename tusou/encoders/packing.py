"""Lays texts side by side in one row of tokens, so that no padding is computed."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids

_STEPS = 16  # row counts between a power of two and the next
FEWEST_TOKENS = 32  # of a pass; below that, reading the weights costs more than using them

# What a pass on a processor computes: enough to fill its core, little enough to stay in its cache.
# Every count of rows is compiled anew, moreover (`pack`).
PASS_TOKENS = 160
USUAL_TOKENS = range(3, 17)  # of a text alone


@dataclass(frozen=True, slots=True)
class Packed:
    """The tokens of several texts in one row; spare ones, which belong to no text, come last."""

    ids: npt.NDArray[np.int64]  # (tokens,)
    positions: npt.NDArray[np.int64]  # (tokens,), counted within each text
    starts: npt.NDArray[np.int64]  # (texts,), where each text's [CLS] is
    lengths: npt.NDArray[np.int64]  # (texts,), tokens of each


def pack(ids: npt.NDArray[np.int64]) -> Packed:
    """Pack rows of token ids, padded with 0; then come spare tokens.

    oneDNN compiles each product anew for every number of rows, which takes milliseconds and half a
    megabyte that it keeps. So that there are not hundreds of numbers, some tokens belong to no
    text: at most one to sixteen of the texts'.
    """
    real = ids != 0
    lengths = real.sum(axis=1)
    total = int(lengths.sum())
    spare = (0, few_sizes(total) - total)
    return Packed(
        np.pad(ids[real], spare),
        np.pad(real.nonzero()[1], spare),
        lengths.cumsum() - lengths,
        lengths,
    )


def few_sizes(count: int) -> int:
    """Round up to one of sixteen sizes between a power of two and the next."""
    step = 1 << max(0, (count // _STEPS).bit_length() - 1)
    return -(-count // step) * step


def cut(lengths: Ids, most_tokens: int, at_once: int = 1) -> list[Ids]:
    """Cut texts of these lengths, the shortest first, into passes of about as many tokens each.

    So many passes run at once; the rows of each are returned.
    """
    order = np.argsort(lengths, kind="stable")
    middles = lengths[order].cumsum() - lengths[order] / 2
    total = int(lengths.sum())
    rounds = ceil(total / most_tokens / at_once)
    count = max(1, min(rounds * at_once, total // FEWEST_TOKENS))
    cuts = np.searchsorted(middles, [total * part / count for part in range(1, count)])
    return [rows for rows in np.split(order, cuts) if len(rows)]
