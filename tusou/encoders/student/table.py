"""A text encoder without a network: a weighted sum over a text's tokens and pairs of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel
from tusou.encoders.base import Tokenizer, Tokens

_SHIFT = 32  # a pair's key is its first id, shifted by this many bits, plus its second
_SHORTEST = 1e-12  # a shorter sum has no direction

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """Rows for tokens and for pairs of neighbouring tokens, whose weights are their lengths.

    Row 0 is zero, for whatever the table lacks. The sum of a text's rows is divided by the number
    of its tokens to the power `exponent`, and `bias` is added.
    """

    tokens: npt.NDArray[np.int64]  # (t,) ids, ascending; rows 1 to t
    pairs: npt.NDArray[np.int64]  # (p,) keys, ascending; rows from t + 1 on
    rows: npt.NDArray[np.float16]  # (1 + t + p, d)
    bias: npt.NDArray[np.float32]  # (d,)
    exponent: float
    names: ClassVar[tuple[str, ...]] = ("tokens", "pairs", "rows", "bias", "exponent")

    def check(self) -> None:
        """Raise BadModel for parts that do not fit each other."""
        count = 1 + len(self.tokens) + len(self.pairs)
        fits = (
            self.tokens.ndim == self.pairs.ndim == self.bias.ndim == 1
            and self.rows.shape == (count, len(self.bias))
            and (np.diff(self.tokens) > 0).all()
            and (np.diff(self.pairs) > 0).all()
            and (not len(self.tokens) or self.tokens[0] > 0)
            and np.isfinite(self.rows).all()
            and np.isfinite(self.bias).all()
            and 0 <= self.exponent <= 1
        )
        if not fits:
            raise BadModel("the parts of the table do not fit each other; distil the student again")


class FeatureRows:
    """Numbers the rows of a table that texts have: many texts at once, in NumPy."""

    def __init__(
        self, tokens: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64], ends: tuple[int, int]
    ) -> None:
        """`ends` are the ids of the tokens at the start and at the end of every text."""
        self._pairs, self._ends = pairs, ends
        self._of_token = np.zeros(int(tokens[-1]) + 2 if len(tokens) else 2, np.int64)
        self._of_token[tokens] = 1 + np.arange(len(tokens))
        self._first_pair = 1 + len(tokens)

    def find(self, ids: npt.NDArray[np.int64]) -> RowNumbers:
        """Return the rows of each text, (n, m), 0 for what is not there; ids are padded with 0."""
        of_tokens: RowNumbers = self._of_token[np.minimum(ids, len(self._of_token) - 1)]
        if not len(self._pairs) or ids.shape[1] < 2:
            return of_tokens
        keys = pair_keys(ids)
        positions = np.minimum(np.searchsorted(self._pairs, keys), len(self._pairs) - 1)
        of_pairs = np.where(self._pairs[positions] == keys, positions + self._first_pair, 0)
        return np.concatenate([of_tokens, of_pairs], axis=1)

    def lengths(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the tokens of each text without the two at its ends, at least 1."""
        first, last = self._ends
        counted = (ids != 0) & (ids != first) & (ids != last)
        counts: RowNumbers = np.maximum(np.count_nonzero(counted, axis=1), 1)
        return counts


def pair_keys(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a key for each pair of neighbouring tokens, (n, width - 1); 0 beside padding."""
    keys = (ids[:, :-1] << _SHIFT) + ids[:, 1:]
    keys[ids[:, 1:] == 0] = 0
    return keys


class TableEncoder:
    """Encodes texts with a `TokenTable`; a query takes microseconds, and NumPy alone.

    Texts are summed one by one with dictionaries: for the few tokens of a query this takes a
    quarter of the time of NumPy's own search.
    """

    backend, precision = "numpy", "fp32"

    def __init__(self, table: TokenTable, tokenizer: Tokenizer) -> None:
        """BadModel for a table whose parts do not fit each other."""
        table.check()
        self._tokenizer, self._ends = tokenizer, frozenset(end_tokens(tokenizer))
        self._bias, self._exponent = table.bias, table.exponent
        self._rows = table.rows.astype(np.float32)
        self._of_token = {token: 1 + n for n, token in enumerate(table.tokens.tolist())}
        first_pair = 1 + len(table.tokens)
        self._of_pair = {pair: first_pair + n for n, pair in enumerate(table.pairs.tolist())}
        self.dim = len(table.bias)

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer.prepare(texts)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that the table or the tokenizer does not know.

        A text of such tokens alone has the vector of every other text of them.
        """
        shares = map(self._lacking_share, self._tokenizer.prepare(texts).ids.tolist())
        return list(map(max, shares, self._tokenizer.unknown_share(texts)))

    def _lacking_share(self, padded: list[int]) -> float:
        ids = [token for token in padded if token and token not in self._ends]
        return sum(token not in self._of_token for token in ids) / max(len(ids), 1)

    def warm_up(self) -> None: ...

    def encode(self, tokens: Tokens) -> Vectors:
        vectors = np.empty((len(tokens.ids), self.dim), np.float32)
        for number, ids in enumerate(tokens.ids.tolist()):
            vectors[number] = self._encode_one(ids)
        return vectors

    def _encode_one(self, padded: list[int]) -> Vectors:
        ids = [token for token in padded if token]
        of_token, of_pair = self._of_token.get, self._of_pair.get
        rows = [of_token(token, 0) for token in ids]
        rows += [of_pair((first << _SHIFT) + second, 0) for first, second in pairwise(ids)]
        length = max(len(ids) - sum(token in self._ends for token in ids), 1)
        total: Vectors = self._rows.take([row for row in rows if row], axis=0).sum(axis=0)
        total *= np.float32(length**-self._exponent)
        total += self._bias
        return total / np.float32(max(sqrt(float(total @ total)), _SHORTEST))


def end_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the ids of the tokens that the tokenizer puts before and after every text."""
    first, *_, last = tokenizer.prepare(["裙"]).ids[0].tolist()
    return first, last
