"""Shopping queries and captions of a split, each with all items that it is true of."""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tusou_lab.toy.catalogue import (
    ANY_FILLERS,
    COLOURS,
    FILLERS,
    PATTERNS,
    Category,
    ToyProduct,
)
from tusou_lab.toy.difficulty import EASY, RARE_WORDS, Difficulty
from tusou_lab.toy.patterns import Rng
from tusou_lab.toy.products import SPLITS

# A wording is reserved for one split, so no query occurs in two splits.
_SHARE = {"train": range(8), "valid": range(8, 9), "test": range(9, 10)}
_STATED_IN_TRAIN = (0.15, 0.45, 0.3, 0.1)  # shares of training queries with 1, 2, 3, 4 facts
_STATED_IN_CAPTION = (2, 4)  # least and most facts
# Keeps the random numbers of captions apart from those of queries and of items.
_CAPTION_STREAM = (0, 1)


Scene: TypeAlias = Sequence[ToyProduct]  # the products of one image


@dataclass(frozen=True, slots=True)
class ToyText:
    """A query or a caption, and the positions of all items in the pool that it is true of."""

    text: str
    items: tuple[int, ...]


def is_reserved(text: str, split: str) -> bool:
    """Return whether a wording is reserved for this split."""
    digest = blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % 10 in _SHARE[split]


def write_queries(
    scenes: Sequence[Scene],
    split: str,
    count: int,
    seed: int,
    difficulty: Difficulty = EASY,
) -> list[ToyText]:
    """Return `count` different queries, or fewer if the pool is too small for them."""
    rng = np.random.default_rng([seed, SPLITS[split]])
    pool = _ProductPool(scenes)
    queries: dict[str, ToyText] = {}
    for _ in range(count * 20):
        if len(queries) == count:
            break
        scene = scenes[int(rng.integers(len(scenes)))]
        anchor = scene[int(rng.integers(len(scene)))] if len(scene) > 1 else scene[0]
        stated, answers = _pick_stated_facts(anchor, pool, split, rng, difficulty)
        text = _unused_wording(anchor.category, stated, split, queries, rng, difficulty)
        if text is not None:
            queries[text] = ToyText(text, tuple(answers.tolist()))
    return list(queries.values())


def write_captions(
    scenes: Sequence[Scene], split: str, seed: int, difficulty: Difficulty = EASY
) -> list[ToyText]:
    """Return captions of the images in wordings reserved for the split; all captions differ.

    A caption describes the first product of its image.

    An image without an unused wording gets no caption of its own.
    """
    rng = np.random.default_rng([seed, SPLITS[split], *_CAPTION_STREAM])
    pool = _ProductPool(scenes)
    captions: dict[str, ToyText] = {}
    least, most = _STATED_IN_CAPTION
    for product, *_ in scenes:
        stated = _pick_facts(product, int(rng.integers(least, most + 1)), rng)
        text = _unused_wording(product.category, stated, split, captions, rng, difficulty)
        if text is not None:
            captions[text] = ToyText(text, tuple(pool.find(product.category, stated).tolist()))
    return list(captions.values())


class _ProductPool:
    """The products of a split, indexed by category and fact."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        members: dict[str, list[tuple[int, ToyProduct]]] = defaultdict(list)
        for position, scene in enumerate(scenes):
            for product in scene:
                members[product.category.shape].append((position, product))
        self._members = {
            name: np.array([position for position, _ in shown]) for name, shown in members.items()
        }
        self._values = {
            name: {
                fact: np.array([product.facts[fact] for _, product in shown])
                for fact in shown[0][1].facts
            }
            for name, shown in members.items()
        }

    def find(self, category: Category, stated: Mapping[str, str]) -> NDArray[np.int64]:
        """Return the positions of all images of a product that has every stated fact."""
        members, values = self._members[category.shape], self._values[category.shape]
        matching = np.ones(len(members), dtype=bool)
        for fact, value in stated.items():
            matching &= values[fact] == value
        return members[matching]


def _pick_stated_facts(
    anchor: ToyProduct, pool: _ProductPool, split: str, rng: Rng, difficulty: Difficulty
) -> tuple[dict[str, str], NDArray[np.int64]]:
    """Return facts of an item to state, at random in train, else for about six correct items."""
    if split == "train":
        stated = _pick_facts(anchor, 1 + int(rng.choice(4, p=_STATED_IN_TRAIN)), rng)
        return stated, pool.find(anchor.category, stated)
    target = rng.uniform(*difficulty.correct_items)
    tries = (_pick_facts(anchor, 1 + int(rng.integers(4)), rng) for _ in range(8))
    candidates = [(stated, pool.find(anchor.category, stated)) for stated in tries]
    return min(candidates, key=lambda candidate: abs(np.log(len(candidate[1]) / target)))


def _pick_facts(anchor: ToyProduct, count: int, rng: Rng) -> dict[str, str]:
    """Return up to `count` facts to state; that a product is plain is rarely stated."""
    eligible = [
        fact
        for fact, value in anchor.facts.items()
        if fact != "pattern"
        or (anchor.category.patterned and (value != "plain" or rng.random() < 0.3))
    ]
    chosen = rng.permutation(len(eligible))[:count]
    return {eligible[i]: anchor.facts[eligible[i]] for i in sorted(chosen.tolist())}


def _unused_wording(
    category: Category,
    stated: Mapping[str, str],
    split: str,
    used: Container[str],
    rng: Rng,
    difficulty: Difficulty,
) -> str | None:
    """Return a wording of the facts that is reserved for the split and unused, or None."""
    for _ in range(40):
        text = _random_wording(category, stated, rng, difficulty)
        if text not in used and is_reserved(text, split):
            return text
    return None


def _random_wording(
    category: Category, stated: Mapping[str, str], rng: Rng, difficulty: Difficulty
) -> str:
    """Return the stated facts in random order and synonyms, with fillers and spaces."""
    words = list(_fact_words(category, stated, rng, difficulty))
    words = [words[i] for i in rng.permutation(len(words))]
    words, has_noun = _with_suffix(category, stated, words, rng)
    noun = [] if has_noun else [_pick_word(category.shape, category.words, rng, difficulty)]
    words = [*_fillers(category, rng, difficulty.fillers), *words]
    return _join(
        [*noun, *words] if noun and rng.random() < 0.1 else [*words, *noun],
        rng,
    )


def _fact_words(
    category: Category, stated: Mapping[str, str], rng: Rng, difficulty: Difficulty
) -> Iterator[str]:
    for fact, value in stated.items():
        if fact == "colour":
            yield _pick_word(value, COLOURS[value].words, rng, difficulty)
        elif fact == "pattern":
            yield _pick(PATTERNS[value], rng)
        else:
            yield _pick(category.traits[fact][value], rng)


def _with_suffix(
    category: Category, stated: Mapping[str, str], words: list[str], rng: Rng
) -> tuple[list[str], bool]:
    """Join a trait and a suffix (吊带 + 裙) now and then; return the words, and whether it did."""
    traits = {
        word
        for fact, options in category.traits.items()
        for word in options.get(stated.get(fact, ""), ())
    }
    if not (category.suffixes and traits and rng.random() < 0.4):
        return words, False
    *others, trait = sorted(words, key=lambda word: word in traits)
    return [*others, trait + _pick(category.suffixes, rng)], True


def _fillers(category: Category, rng: Rng, shares: Sequence[float]) -> list[str]:
    count = int(rng.choice(len(shares), p=shares))
    words = FILLERS[category.family] + ANY_FILLERS
    return list(dict.fromkeys(_pick(words, rng) for _ in range(count)))


def _join(words: Sequence[str], rng: Rng) -> str:
    style = rng.random()
    if style < 0.6:
        return "".join(words)
    if style < 0.8:
        return " ".join(words)
    gaps = [" " if rng.random() < 0.4 else "" for _ in words[1:]]
    return words[0] + "".join(gap + word for gap, word in zip(gaps, words[1:], strict=True))


def _pick_word(name: str, words: Sequence[str], rng: Rng, difficulty: Difficulty) -> str:
    """Return one of the words, or a rare synonym of a colour or a category."""
    if difficulty.rare_words and rng.random() < difficulty.rare_words:
        words = RARE_WORDS[name]
    return _pick(words, rng)


def _pick(words: Sequence[str], rng: Rng) -> str:
    return words[int(rng.integers(len(words)))]
