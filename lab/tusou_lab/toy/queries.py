"""Shopping queries for a split, each with all the items that match it."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tusou_lab.toy.catalogue import Category, ToyProduct
from tusou_lab.toy.patterns import Rng
from tusou_lab.toy.products import SPLITS
from tusou_lab.toy.wording import random_wording

# A wording is reserved for one split, so no query occurs in two splits.
_SHARE = {"train": range(8), "valid": range(8, 9), "test": range(9, 10)}
_TARGET_ANSWERS = (3, 10)  # MUGE has 6.1 correct items per query in valid
_STATED_IN_TRAIN = (0.15, 0.45, 0.3, 0.1)  # shares of training queries with 1, 2, 3, 4 facts


@dataclass(frozen=True, slots=True)
class ToyQuery:
    """A query text, and the positions of all items in the pool that match it."""

    text: str
    answers: tuple[int, ...]


def is_reserved(text: str, split: str) -> bool:
    """Return whether a wording is reserved for this split."""
    digest = blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % 10 in _SHARE[split]


def write_queries(
    products: Sequence[ToyProduct], split: str, count: int, seed: int
) -> list[ToyQuery]:
    """Return `count` different queries, or fewer if the pool is too small for them."""
    rng = np.random.default_rng([seed, SPLITS[split]])
    pool = ProductPool(products)
    queries: dict[str, ToyQuery] = {}
    for _ in range(count * 20):
        if len(queries) == count:
            break
        anchor = products[int(rng.integers(len(products)))]
        stated, answers = _pick_stated_facts(anchor, pool, split, rng)
        text = unused_wording(anchor.category, stated, split, queries, rng)
        if text is not None:
            queries[text] = ToyQuery(text, tuple(answers.tolist()))
    return list(queries.values())


class ProductPool:
    """The items of a split, indexed by category and fact."""

    def __init__(self, products: Sequence[ToyProduct]) -> None:
        members: dict[str, list[int]] = defaultdict(list)
        for position, product in enumerate(products):
            members[product.category.shape].append(position)
        self._members = {name: np.array(positions) for name, positions in members.items()}
        self._values = {
            name: {
                fact: np.array([products[i].facts[fact] for i in positions])
                for fact in products[positions[0]].facts
            }
            for name, positions in members.items()
        }

    def find(self, category: Category, stated: Mapping[str, str]) -> NDArray[np.int64]:
        """Return the positions of all items of a category that have every stated fact."""
        members, values = self._members[category.shape], self._values[category.shape]
        matching = np.ones(len(members), dtype=bool)
        for fact, value in stated.items():
            matching &= values[fact] == value
        return members[matching]


def _pick_stated_facts(
    anchor: ToyProduct, pool: ProductPool, split: str, rng: Rng
) -> tuple[dict[str, str], NDArray[np.int64]]:
    """Return facts of an item to state, at random in train, else for about six correct items."""
    if split == "train":
        stated = pick_facts(anchor, 1 + int(rng.choice(4, p=_STATED_IN_TRAIN)), rng)
        return stated, pool.find(anchor.category, stated)
    target = rng.uniform(*_TARGET_ANSWERS)
    tries = (pick_facts(anchor, 1 + int(rng.integers(4)), rng) for _ in range(8))
    candidates = [(stated, pool.find(anchor.category, stated)) for stated in tries]
    return min(candidates, key=lambda candidate: abs(np.log(len(candidate[1]) / target)))


def pick_facts(anchor: ToyProduct, count: int, rng: Rng) -> dict[str, str]:
    """Return up to `count` facts to state; that a product is plain is rarely stated."""
    eligible = [
        fact
        for fact, value in anchor.facts.items()
        if fact != "pattern"
        or (anchor.category.patterned and (value != "plain" or rng.random() < 0.3))
    ]
    chosen = rng.permutation(len(eligible))[:count]
    return {eligible[i]: anchor.facts[eligible[i]] for i in sorted(chosen.tolist())}


def unused_wording(
    category: Category,
    stated: Mapping[str, str],
    split: str,
    used: Container[str],
    rng: Rng,
) -> str | None:
    """Return a wording of the facts that is reserved for the split and unused, or None."""
    for _ in range(40):
        text = random_wording(category, stated, rng)
        if text not in used and is_reserved(text, split):
            return text
    return None
