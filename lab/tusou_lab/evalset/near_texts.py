"""Recognises queries that nearly repeat an earlier one."""

from collections import defaultdict

from tusou.core.errors import InputError
from tusou.text.normalize import normalize_query

_SIMILAR = 0.85  # share of the bigrams of two texts that they have in common


class NearTexts:
    """The texts that were taken so far, found by their bigrams."""

    def __init__(self) -> None:
        self._bigrams: list[frozenset[str]] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        self._texts: set[str] = set()

    def add(self, text: str) -> bool:
        """Add a text; return False if it equals or nearly equals an earlier one."""
        try:
            plain = normalize_query(text).casefold().replace(" ", "")
        except InputError:
            return False
        if not plain or plain in self._texts or self._has_near(_bigrams(plain)):
            return False
        self._texts.add(plain)
        for bigram in _bigrams(plain):
            self._places[bigram].append(len(self._bigrams))
        self._bigrams.append(_bigrams(plain))
        return True

    def _has_near(self, bigrams: frozenset[str]) -> bool:
        """Return whether an earlier text shares most bigrams; order does not matter."""
        shared: dict[int, int] = defaultdict(int)
        for bigram in bigrams:
            for place in self._places[bigram]:
                shared[place] += 1
        return any(
            count / len(bigrams | self._bigrams[place]) >= _SIMILAR
            for place, count in shared.items()
        )


def _bigrams(text: str) -> frozenset[str]:
    """Return the pairs of neighbouring characters, with the text's ends."""
    padded = f" {text} "
    return frozenset(padded[place : place + 2] for place in range(len(padded) - 1))
