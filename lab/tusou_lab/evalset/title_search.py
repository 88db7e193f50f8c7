"""Lexical search over the titles of a pool: BM25 of words and pairs of Chinese characters."""

import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from tusou.attributes.table import AttributeTable
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.text.normalize import without_controls
from tusou.text.segmentation import segment

_TEXT_TYPES = ("string", "strings")
_SATURATION, _LENGTH_SHARE = 1.2, 0.75  # k1 and b, as usual
_RUNS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+|[^\W_\u3400-\u9fff\uf900-\ufaff]+")


class TitleIndex:
    """Ranks texts by BM25; equal scores in the order of the texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._keys: dict[str, array[int]] = defaultdict(lambda: array("i"))
        self._counts: dict[str, array[int]] = defaultdict(lambda: array("i"))
        lengths = array("i")
        for key, text in enumerate(texts):
            tokens = Counter(tokenize(text))
            lengths.append(sum(tokens.values()))
            for token, count in tokens.items():
                self._keys[token].append(key)
                self._counts[token].append(count)
        self._lengths = np.array(lengths, np.float64)
        mean = self._lengths.mean() if self._lengths.any() else 1.0
        self._norms = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * self._lengths / mean)

    def search(self, text: str, limit: int) -> Ids:
        """Return the keys of the best texts that share a token with this one, best first."""
        scores = np.zeros(len(self._lengths))
        for token in dict.fromkeys(tokenize(text)):
            if token not in self._keys:
                continue
            keys = np.frombuffer(self._keys[token], np.intc)
            counts = np.frombuffer(self._counts[token], np.intc)
            rarity = np.log1p((len(scores) - len(keys) + 0.5) / (len(keys) + 0.5))
            scores[keys] += rarity * counts * (_SATURATION + 1) / (counts + self._norms[keys])
        matching: Ids = np.flatnonzero(scores)
        return matching[np.argsort(-scores[matching], kind="stable")][:limit]


def tokenize(text: str) -> list[str]:
    """Return the words of a text, and every pair of neighbouring Chinese characters.

    Latin letters and digits are words of their own, whatever their width and case. A word of two
    characters is its pair, and counts once.
    """
    plain = unicodedata.normalize("NFKC", without_controls(text)).casefold()
    tokens: list[str] = []
    for run in _RUNS.findall(plain):
        if run[0] < "\u3400":
            tokens.append(run)
            continue
        tokens += (run[place : place + 2] for place in range(len(run) - 1))
        tokens += (word.text for word in segment(run) if len(word.text) != 2)
    return tokens


def open_title_index(bundle: Bundle, name: str) -> TitleIndex:
    """Index an attribute of all items; BadDataset without it, InvalidRequest if it is not text."""
    return TitleIndex(read_titles(bundle.attributes, name))


def read_titles(table: AttributeTable | None, name: str) -> Sequence[str]:
    """Return an attribute of every item as text, "" where an item has none; errors as above."""
    if table is None or name not in table.schema:
        raise BadDataset(
            f"the bundle has no attribute {name!r}: index it with --attributes FILE that has one"
        )
    if table.schema[name] not in _TEXT_TYPES:
        raise InvalidRequest(f"the attribute {name!r} is of type {table.schema[name]}, not text")
    values = (row.get(name, "") for row in table.rows(range(len(table)), [name]))
    return [" ".join(value) if isinstance(value, list) else str(value) for value in values]
