"""Toy queries: complete lists of correct items, about six each, and held-out combinations."""

from collections.abc import Iterator

import pytest
from tusou_lab.toy.catalogue import ANY_FILLERS, CATEGORIES, COLOURS, FILLERS, PATTERNS, ToyProduct
from tusou_lab.toy.products import draw_facts, is_held_out
from tusou_lab.toy.queries import ToyText, write_queries

IGNORED = {*ANY_FILLERS, *(word for words in FILLERS.values() for word in words)}


def words_for(product: ToyProduct) -> set[str]:
    """Return every word that is true of a product."""
    category, facts = product.category, product.facts
    traits = (word for name, options in category.traits.items() for word in options[facts[name]])
    words = (*category.words, *category.suffixes, *COLOURS[facts["colour"]].words)
    return {*words, *PATTERNS[facts["pattern"]], *traits}


def draw_products(split: str, count: int, seed: int = 3) -> list[ToyProduct]:
    return [draw_facts(seed, split, index)[0] for index in range(count)]


POOL = draw_products("test", 3000)
TRUE_OF = [words_for(product) for product in POOL]
VOCABULARY = IGNORED.union(*TRUE_OF)


def segmentations(text: str) -> Iterator[frozenset[str]]:
    """Yield every segmentation of a text into known words."""
    if not text:
        yield frozenset()
    for word in VOCABULARY:
        if text.startswith(word):
            yield from ({word} | rest for rest in segmentations(text[len(word) :]))


@pytest.fixture(scope="module")
def queries() -> list[ToyText]:
    return write_queries([(product,) for product in POOL], "test", 300, seed=3)


def test_exactly_the_matching_items_are_listed(queries: list[ToyText]) -> None:
    for query in queries:
        cuts = [cut - IGNORED for cut in segmentations(query.text.replace(" ", ""))]
        satisfying = {
            tuple(row for row, words in enumerate(TRUE_OF) if cut <= words) for cut in cuts
        }
        assert query.items in satisfying, query.text


def test_a_query_has_about_six_correct_items(queries: list[ToyText]) -> None:
    assert len({query.text for query in queries}) == 300
    assert 5 <= sum(len(query.items) for query in queries) / 300 <= 7.5


def test_held_out_combinations_are_never_trained_on() -> None:
    assert not any(map(is_held_out, draw_products("train", 5000)))
    assert 0.05 < sum(map(is_held_out, POOL)) / len(POOL) < 0.15


def test_the_pool_covers_the_catalogue() -> None:
    assert len(CATEGORIES) >= 24
    assert len({category.family for category in CATEGORIES}) == 7
    assert (len(COLOURS), len(PATTERNS)) == (12, 6)
    shapes = {product.category.shape for product in POOL}
    assert shapes == {category.shape for category in CATEGORIES}
    assert {product.facts["colour"] for product in POOL} == set(COLOURS)
    assert {product.facts["pattern"] for product in POOL} == set(PATTERNS)


def test_a_small_pool_still_gets_its_queries() -> None:
    assert (
        len(
            write_queries(
                [(product,) for product in draw_products("valid", 20)], "valid", 10, seed=1
            )
        )
        == 10
    )
