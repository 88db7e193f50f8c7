"""The domain of the toy judge: the words of drawn products, and the products with their tags."""

from collections.abc import Sequence
from dataclasses import dataclass

from tusou_lab.evalset.domain import AttributeTerms, Domain, Term
from tusou_lab.toy.attributes import draw_attributes
from tusou_lab.toy.catalogue import CATEGORIES, COLOURS, PATTERNS, ToyProduct
from tusou_lab.toy.products import draw_facts, is_held_out
from tusou_lab.toy.scene import draw_image

NAME = "图搜演示商品"


@dataclass(frozen=True, slots=True)
class ToyItem:
    """An image, and what it shows in the words of the pool's attributes."""

    image: bytes
    category: str
    tags: tuple[str, ...]
    held_out: bool = False  # whether no product of its kind is trained on


def toy_domain(budget: int, categories: int | None = None) -> Domain:
    """Return the domain of drawn products, or of the first categories alone."""
    chosen = CATEGORIES[:categories]
    details: dict[str, tuple[str, ...]] = {}
    for category in chosen:
        for options in category.traits.values():
            details |= {words[0]: words[1:] for words in options.values()}
    colours = {colour.words[0]: colour.words[1:] for colour in COLOURS.values()}
    patterns = {words[0]: words[1:] for words in PATTERNS.values()}
    return Domain(
        name=NAME,
        concepts=tuple(
            Term(name=each.words[0], words=each.words[1:], where={"category": each.words[0]})
            for each in chosen
        ),
        attributes=tuple(
            AttributeTerms(
                name=name,
                values=tuple(
                    Term(name=first, words=others, where={"tags": first})
                    for first, others in values.items()
                ),
            )
            for name, values in (("颜色", colours), ("图案", patterns), ("细节", details))
        ),
        budget=budget,
    )


def draw_items(
    count: int, split: str, seed: int, categories: int | None = None
) -> Sequence[ToyItem]:
    """Draw images of products; of the first categories alone if their number is given."""
    chosen = CATEGORIES[:categories]
    products: list[ToyProduct] = []
    images: list[bytes] = []
    index = 0
    while len(products) < count:
        product, rng = draw_facts(seed, split, index)
        index += 1
        if product.category in chosen:
            products.append(product)
            images.append(draw_image([product], rng))
    rows = draw_attributes(products, split, seed)
    return [
        ToyItem(
            image,
            str(row["category"]),
            tuple(row["tags"]),  # type: ignore[arg-type]
            is_held_out(product),
        )
        for image, row, product in zip(images, rows, products, strict=True)
    ]
