"""Composes training texts from the words of other texts; the teacher can encode any text."""

from collections import Counter
from collections.abc import Container, Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.text.segmentation import segment
from tusou_lab.distil.texts import normal_texts

_MOST_WORDS = 6  # of a text of words drawn at random
# Shares of composed texts: a part of a text, a text with a word replaced, words drawn at random.
_SHARES = (0.4, 0.3, 0.3)
_ROUNDS = 20  # texts drawn for each that is wanted, before there are too few words for more


def compose_texts(
    texts: Sequence[str], count: int, excluded: Container[str], rng: np.random.Generator
) -> list[str]:
    """Return up to `count` different new texts made of the words of `texts`.

    Single words come first. Texts in `excluded` are never returned.
    """
    split = [words for text in texts if (words := _words(text))]
    frequencies = Counter(word for words in split for word in words)
    if not frequencies:
        return []
    vocabulary = list(frequencies)
    weights = np.sqrt(np.array([frequencies[word] for word in vocabulary], np.float64))
    weights /= weights.sum()
    known = {*texts}
    composed: dict[str, None] = {}
    drawn = iter(
        [*sorted(vocabulary, key=frequencies.__getitem__, reverse=True)][: max(count // 2, 1)]
    )
    for _ in range(_ROUNDS * count):
        if len(composed) >= count:
            break
        text = next(drawn, None) or _compose(split, vocabulary, weights, rng)
        if text not in known and text not in excluded:
            composed[text] = None
    return [text for text in normal_texts(composed) if text not in excluded]


def catalogue_texts(bundle: Bundle) -> list[str]:
    """Return the different strings of the items' attributes, or [] without attributes."""
    table = bundle.attributes
    if table is None:
        return []
    names = [name for name, kind in table.schema.items() if kind in ("string", "strings")]
    strings = (
        value
        for row in table.rows(range(len(table)), names)
        for values in row.values()
        for value in (values if isinstance(values, list) else [values])
    )
    return normal_texts(value for value in strings if isinstance(value, str))


def _words(text: str) -> list[str]:
    return [word.text.strip() for word in segment(text) if word.text.strip()]


def _compose(
    split: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
    weights: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> str:
    kind = rng.choice(len(_SHARES), p=_SHARES)
    if kind == 2:
        drawn = rng.choice(len(vocabulary), int(rng.integers(1, _MOST_WORDS + 1)), p=weights)
        return "".join(vocabulary[number] for number in drawn.tolist())
    words = list(split[int(rng.integers(len(split)))])
    if kind == 1:
        number = int(rng.choice(len(vocabulary), p=weights))
        words[int(rng.integers(len(words)))] = vocabulary[number]
        return "".join(words)
    start, stop = np.sort(rng.integers(0, len(words) + 1, 2)).tolist()
    return "".join(words[start:stop] or words)
