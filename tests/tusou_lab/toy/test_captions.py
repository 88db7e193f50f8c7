"""Captions say what is true of images, each in words of its own, the same from the same seed."""

import json
from pathlib import Path

from tusou_lab.toy.captions import captions_of, write_captions
from tusou_lab.toy.dataset import SplitFiles, SplitSize, write_toy
from tusou_lab.toy.products import draw_facts
from tusou_lab.toy.queries import belongs

PRODUCTS = [draw_facts(3, "test", index)[0] for index in range(400)]


def test_captions_differ_and_are_words_of_their_split() -> None:
    captions = write_captions(PRODUCTS, "test", seed=3)
    texts = {caption.text for caption in captions}
    assert 380 <= len(texts) == len(captions) <= 400
    assert all(belongs(text, "test") for text in texts)
    assert captions == write_captions(PRODUCTS, "test", seed=3)
    assert captions != write_captions(PRODUCTS, "test", seed=4)


def test_a_caption_is_true_of_images_that_have_all_it_states() -> None:
    captions = write_captions(PRODUCTS, "test", seed=3)
    shared = [caption for caption in captions if len(caption.images) > 1]
    assert len(shared) > 50
    for caption in shared:
        described = [PRODUCTS[image] for image in caption.images]
        assert len({product.category.shape for product in described}) == 1
        common = set.intersection(*(set(product.facts.items()) for product in described))
        assert common


def test_each_image_lists_the_captions_that_name_it(tmp_path: Path) -> None:
    captions = write_captions(PRODUCTS[:50], "test", seed=3)
    correct = captions_of(captions, 50)
    assert all(
        (image in caption.images) == (number in correct[image])
        for number, caption in enumerate(captions)
        for image in range(50)
    )
    write_toy(tmp_path, [SplitSize("test", 50, 4)], seed=3)
    files = SplitFiles.of(tmp_path, "test")
    written = [json.loads(line) for line in files.captions.read_text("utf-8").splitlines()]
    assert [row["text"] for row in written] == [caption.text for caption in captions]
    rows = [json.loads(line) for line in files.correct.read_text("utf-8").splitlines()]
    assert {row["image_id"]: row["text_ids"] for row in rows} == {
        30_000_000 + image: [30_000_000 + number for number in numbers]
        for image, numbers in enumerate(correct)
        if numbers
    }
