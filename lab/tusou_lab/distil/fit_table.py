"""Fits a table of tokens and pairs of tokens to the vectors of a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.encoders.base import Tokenizer
from tusou.encoders.student.table import (
    FeatureRows,
    TokenTable,
    end_tokens,
    pair_keys,
)
from tusou_lab.distil.ridge import SparseFeatures, solve_ridge

MOST_PAIRS = 60_000
MIN_COUNT = 2  # texts that have a pair
_PAIR_PENALTY = 3.0  # of a pair, beside that of a token
# The settings that are tried on a tenth of the texts, which the others are then fitted to.
_PENALTIES = (0.3, 0.1, 1.0)
_EXPONENTS = (0.5, 1.0)
_TRIED_TEXTS, _VALIDATED = 5_000, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class FittedTable:
    """A table, and the settings that it was fitted with."""

    table: TokenTable
    penalty: float
    cosine: float  # mean cosine with the teacher on the texts that chose the settings


class TableFit:
    """The features of texts, and the teacher's vectors of these texts."""

    def __init__(self, texts: Sequence[str], vectors: Vectors, tokenizer: Tokenizer) -> None:
        """`vectors` (n, d) are the teacher's."""
        self._ids, self._vectors = tokenizer.prepare(texts).ids, vectors
        ends = end_tokens(tokenizer)
        self._tokens = _frequent(self._ids, 1, None, leave_out=(0, *ends))
        self._pairs = _frequent(pair_keys(self._ids), MIN_COUNT, MOST_PAIRS, leave_out=(0,))
        self._rows = FeatureRows(self._tokens, self._pairs, ends)

    def fit(self, rng: np.random.Generator, progress: Progress) -> FittedTable:
        """Choose the settings on texts that are left out, then fit all texts."""
        order = rng.permutation(len(self._ids))[:_TRIED_TEXTS]
        count = max(1, int(len(order) * _VALIDATED))
        validated, fitted = order[:count], order[count:]
        progress.begin("solving the table", len(_EXPONENTS) + len(_PENALTIES))

        def cosine(exponent: float, penalty: float) -> float:
            value = self._cosine(self._solve(fitted, exponent, penalty), validated)
            progress.advance(1, f"cosine {value:.3f}")
            return value

        by_exponent = {each: cosine(each, _PENALTIES[0]) for each in _EXPONENTS}
        exponent = max(by_exponent, key=by_exponent.__getitem__)
        by_penalty = {_PENALTIES[0]: by_exponent[exponent]}
        by_penalty |= {each: cosine(exponent, each) for each in _PENALTIES[1:]}
        penalty = max(by_penalty, key=by_penalty.__getitem__)
        table = self._solve(np.arange(len(self._ids)), exponent, penalty)
        progress.advance()
        return FittedTable(table, penalty, by_penalty[penalty])

    def token_vectors(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the ids of the texts' tokens, and the row of each in a table (n, d)."""
        table = self._solve(np.arange(len(self._ids)), _EXPONENTS[0], _PENALTIES[0])
        return self._tokens, table.rows[1 : 1 + len(self._tokens)].astype(np.float32)

    def _solve(self, texts: npt.NDArray[np.int64], exponent: float, penalty: float) -> TokenTable:
        targets = self._vectors[texts]
        bias = targets.mean(axis=0)
        penalties = np.full(self._width, penalty, np.float32)
        penalties[1 + len(self._tokens) :] *= _PAIR_PENALTY
        solved = solve_ridge(self._features(texts, exponent), targets - bias, penalties)
        return TokenTable(self._tokens, self._pairs, solved.astype(np.float16), bias, exponent)

    def _cosine(self, table: TokenTable, texts: npt.NDArray[np.int64]) -> float:
        features = self._features(texts, table.exponent)
        sums = features.by_text @ table.rows.astype(np.float32) + table.bias
        cosines = (sums * self._vectors[texts]).sum(axis=1) / np.linalg.norm(sums, axis=1)
        return float(cosines.mean())

    def _features(self, texts: npt.NDArray[np.int64], exponent: float) -> SparseFeatures:
        ids = self._ids[texts]
        columns = self._rows.find(ids)
        scale = (self._rows.lengths(ids) ** -exponent).astype(np.float32)
        rows, places = np.nonzero(columns)
        shape = len(texts), self._width
        return SparseFeatures.of(rows, columns[rows, places], scale[rows], shape)

    @property
    def _width(self) -> int:
        return 1 + len(self._tokens) + len(self._pairs)


def _frequent(
    keys: npt.NDArray[np.int64], least: int, most: int | None, *, leave_out: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Return the keys that occur `least` times, ascending; the most frequent ones of too many."""
    values, counts = np.unique(keys, return_counts=True)
    mask = (counts >= least) & ~np.isin(values, leave_out)
    values, counts = values[mask], counts[mask]
    if most is not None and len(values) > most:
        values = values[np.argsort(-counts, kind="stable")[:most]]
    return np.sort(values)
