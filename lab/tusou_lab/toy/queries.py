"""What shoppers ask of a split: queries in their words, each with every item that satisfies it."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tusou_lab.toy.catalogue import Category, Product
from tusou_lab.toy.patterns import Rng
from tusou_lab.toy.products import SPLITS
from tusou_lab.toy.wording import wording

# A wording belongs to one split for ever, so no query of one split is asked in another.
_SHARE = {"train": range(8), "valid": range(8, 9), "test": range(9, 10)}
_ANSWERS_WANTED = (3, 10)  # MUGE has 6.1 correct items a query in valid
_STATED_IN_TRAIN = (0.15, 0.45, 0.3, 0.1)  # how many facts a training query states: 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class ToyQuery:
    """A wording, and the positions of all the items in the pool that it describes."""

    text: str
    answers: tuple[int, ...]


def belongs(text: str, split: str) -> bool:
    """Tell whether a wording is reserved for this split."""
    digest = blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % 10 in _SHARE[split]


def write_queries(products: Sequence[Product], split: str, count: int, seed: int) -> list[ToyQuery]:
    """Ask `count` different queries of a pool; fewer when the pool is too small for them."""
    rng = np.random.default_rng([seed, SPLITS[split]])
    pool = Pool(products)
    asked: dict[str, ToyQuery] = {}
    for _ in range(count * 20):
        if len(asked) == count:
            break
        anchor = products[int(rng.integers(len(products)))]
        stated, answers = _choose(anchor, pool, split, rng)
        text = new_wording(anchor.category, stated, split, asked, rng)
        if text is not None:
            asked[text] = ToyQuery(text, tuple(answers.tolist()))
    return list(asked.values())


class Pool:
    """The items of a split, by category and by fact."""

    def __init__(self, products: Sequence[Product]) -> None:
        members: dict[str, list[int]] = defaultdict(list)
        for position, product in enumerate(products):
            members[product.category.shape].append(position)
        self._members = {name: np.array(found) for name, found in members.items()}
        self._values = {
            name: {
                fact: np.array([products[i].facts[fact] for i in found])
                for fact in products[found[0]].facts
            }
            for name, found in members.items()
        }

    def satisfying(self, category: Category, stated: Mapping[str, str]) -> NDArray[np.int64]:
        """Find all items of a category that have every stated fact."""
        members, values = self._members[category.shape], self._values[category.shape]
        keep = np.ones(len(members), dtype=bool)
        for fact, value in stated.items():
            keep &= values[fact] == value
        return members[keep]


def _choose(
    anchor: Product, pool: Pool, split: str, rng: Rng
) -> tuple[dict[str, str], NDArray[np.int64]]:
    """Choose which of an item's facts to state: at random in train, else for about 6 answers."""
    if split == "train":
        stated = some_facts(anchor, 1 + int(rng.choice(4, p=_STATED_IN_TRAIN)), rng)
        return stated, pool.satisfying(anchor.category, stated)
    wanted = rng.uniform(*_ANSWERS_WANTED)
    tries = (some_facts(anchor, 1 + int(rng.integers(4)), rng) for _ in range(8))
    found = [(stated, pool.satisfying(anchor.category, stated)) for stated in tries]
    return min(found, key=lambda choice: abs(np.log(len(choice[1]) / wanted)))


def some_facts(anchor: Product, count: int, rng: Rng) -> dict[str, str]:
    """Pick facts to state; shoppers rarely say that a thing has no pattern."""
    sayable = [
        fact
        for fact, value in anchor.facts.items()
        if fact != "pattern"
        or (anchor.category.patterned and (value != "plain" or rng.random() < 0.3))
    ]
    chosen = rng.permutation(len(sayable))[:count]
    return {sayable[i]: anchor.facts[sayable[i]] for i in sorted(chosen.tolist())}


def new_wording(
    category: Category,
    stated: Mapping[str, str],
    split: str,
    said: Container[str],
    rng: Rng,
) -> str | None:
    """Put facts into words of the split that were not said before; None when none are found."""
    for _ in range(40):
        text = wording(category, stated, rng)
        if text not in said and belongs(text, split):
            return text
    return None
