"""The images whose queries share rare words with a query."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tusou.text.segmentation import segment
from tusou_lab.train.identities import Positions


class SharedWords:
    """An index of the words of a split's queries."""

    def __init__(self, texts: Sequence[str], correct: Sequence[Positions]) -> None:
        """Take the queries and their correct images."""
        self._correct = correct
        self._words = [tuple(sorted(set(_split(text)))) for text in texts]
        postings: defaultdict[str, list[int]] = defaultdict(list)
        for query, words in enumerate(self._words):
            for word in words:
                postings[word].append(query)
        self._postings = dict(postings)

    def find(self, query: int, most: int) -> Positions:
        """Return at most `most` images of other queries that share a word, rarest words first."""
        words = sorted(self._words[query], key=lambda word: (len(self._postings[word]), word))
        images: dict[int, None] = {}
        for word in words:
            for other in self._postings[word]:
                if other != query:
                    images.update(dict.fromkeys(self._correct[other].tolist()))
                if len(images) >= most:
                    return np.array(list(images)[:most], np.int64)
        return np.array(list(images), np.int64)


def _split(text: str) -> list[str]:
    return [word.text for word in segment(text) if not word.text.isspace()]
