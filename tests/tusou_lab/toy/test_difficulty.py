"""Hard toy data: several products in an image, rare words, and judgments that know all of them."""

from pathlib import Path

import numpy as np
from tusou_lab.toy.catalogue import CATEGORIES, COLOURS, Category, ToyProduct
from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, write_toy
from tusou_lab.toy.difficulty import EASY, HARD, RARE_WORDS
from tusou_lab.toy.products import draw_facts, draw_scene, is_held_out
from tusou_lab.toy.queries import write_captions, write_queries

SCENES = [draw_scene(5, "test", index, HARD)[0] for index in range(800)]


def test_an_image_has_up_to_three_products_of_different_categories() -> None:
    counts = np.bincount([len(scene) for scene in SCENES]) / len(SCENES)
    assert np.allclose(counts[1:], HARD.further_products, atol=0.06)
    for scene in SCENES:
        assert len({product.category.shape for product in scene}) == len(scene)


def test_the_first_product_is_that_of_the_easy_data() -> None:
    assert [scene[0] for scene in SCENES[:50]] == [
        draw_facts(5, "test", index)[0] for index in range(50)
    ]
    assert all(len(draw_scene(5, "test", index, EASY)[0]) == 1 for index in range(50))


def test_no_product_of_training_is_held_out() -> None:
    scenes = (draw_scene(5, "train", index, HARD)[0] for index in range(500))
    assert not any(is_held_out(product) for scene in scenes for product in scene)


def find(category: Category, facts: dict[str, str]) -> set[int]:
    def fits(product: ToyProduct) -> bool:
        return product.category is category and facts.items() <= product.facts.items()

    return {n for n, scene in enumerate(SCENES) if any(map(fits, scene))}


def test_a_query_is_true_of_every_image_that_shows_such_a_product() -> None:
    queries = write_queries(SCENES, "test", 300, 5, HARD)
    assert len(queries) == 300
    further = 0
    for query in queries:
        scenes = [SCENES[item] for item in query.items]
        shared = [
            category
            for category in CATEGORIES
            if all(any(product.category is category for product in scene) for scene in scenes)
        ]
        products = [
            [p for scene in scenes for p in scene if p.category is category] for category in shared
        ]
        common = [
            (category, dict(set.intersection(*(set(p.facts.items()) for p in of_category))))
            for category, of_category in zip(shared, products, strict=True)
        ]
        assert any(find(category, facts) == set(query.items) for category, facts in common)
        further += any(scene[0].category not in shared for scene in scenes)
    assert further > 20  # queries for a product that is not the first of its image


def test_rare_words_are_used_and_every_name_has_some() -> None:
    names = {*COLOURS} | {category.shape for category in CATEGORIES}
    assert set(RARE_WORDS) == names
    usual = {word for colour in COLOURS.values() for word in colour.words} | {
        word for category in CATEGORIES for word in category.words
    }
    rare = {word for words in RARE_WORDS.values() for word in words}
    assert not rare & usual
    hard = [text.text for text in write_queries(SCENES, "test", 300, 5, HARD)]
    shown = sum(any(word in text for word in rare) for text in hard)
    assert 60 < shown < 200
    captions = [text.text for text in write_captions(SCENES, "test", 5, HARD)]
    assert any(word in text for text in captions for word in rare)


def test_the_same_seed_draws_the_same_bytes_and_other_images_than_the_easy_ones(
    tmp_path: Path,
) -> None:
    def draw(name: str, workers: int, *, hard: bool) -> bytes:
        write_toy(
            tmp_path / name,
            [SplitSize("test", 16, 5)],
            7,
            workers,
            difficulty=HARD if hard else EASY,
        )
        files = ToySplitFiles.of(tmp_path / name, "test")
        return files.images.read_bytes() + files.queries.read_bytes()

    assert draw("one", 1, hard=True) == draw("two", 2, hard=True)
    assert draw("easy", 1, hard=False) != draw("three", 1, hard=True)
