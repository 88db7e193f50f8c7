"""Attributes of toy items, as a shop's export has them: some prices and dates are missing."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from tusou_lab.toy.catalogue import COLOURS, PATTERNS, ToyProduct
from tusou_lab.toy.products import SPLITS, item_id

_STREAM = (0, 2)  # keeps the random numbers apart from those of queries and of captions
_BRANDS = ("云裳", "木言", "北辰", "简一", "Luna")
_PRICE_ENDS = (0.0, 0.9, 0.99)
_FIRST_DAY = date(2023, 1, 1)
_MISSING = 0.05  # share of prices, and of dates


def draw_attributes(
    products: Sequence[ToyProduct], split: str, seed: int
) -> list[dict[str, object]]:
    """Return a row of attributes for each item, given the largest product of its image."""
    rng = np.random.default_rng([seed, SPLITS[split], *_STREAM])
    rows: list[dict[str, object]] = []
    for index, product in enumerate(products):
        words, colour = _fact_words(product), COLOURS[product.facts["colour"]].words[0]
        category = product.category.words[0]
        price = int(rng.integers(9, 600)) + _PRICE_ENDS[int(rng.integers(len(_PRICE_ENDS)))]
        listed = (_FIRST_DAY + timedelta(int(rng.integers(730)))).isoformat()
        rows.append(
            {
                "item_id": item_id(split, index),
                "title": f"{colour}{''.join(words)}{category}",
                "category": category,
                "brand": _BRANDS[int(rng.integers(len(_BRANDS)))],
                "price": None if rng.random() < _MISSING else price,
                "stock": int(rng.integers(200)),
                "listed": None if rng.random() < _MISSING else listed,
                "new": bool(rng.random() < 0.1),
                "tags": [colour, *words],
                "product_id": _product_id(product),
            }
        )
    return rows


def _fact_words(product: ToyProduct) -> list[str]:
    facts = product.facts
    pattern = [PATTERNS[facts["pattern"]][0]] if product.category.patterned else []
    traits = product.category.traits.items()
    return pattern + [options[facts[trait]][0] for trait, options in traits]


def _product_id(product: ToyProduct) -> str:
    """Return an id that images of the same category, colour and pattern share."""
    return "-".join((product.category.shape, product.facts["colour"], product.facts["pattern"]))
