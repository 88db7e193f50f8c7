"""Toy captions: true of their images, different from each other, reproducible."""

import json
from pathlib import Path

from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, write_toy
from tusou_lab.toy.products import draw_facts
from tusou_lab.toy.queries import is_reserved, write_captions

PRODUCTS = [draw_facts(3, "test", index)[0] for index in range(400)]
SCENES = [(product,) for product in PRODUCTS]


def test_captions_differ_and_use_wordings_of_their_split() -> None:
    captions = write_captions(SCENES, "test", seed=3)
    texts = {caption.text for caption in captions}
    assert 380 <= len(texts) == len(captions) <= 400
    assert all(is_reserved(text, "test") for text in texts)
    assert captions == write_captions(SCENES, "test", seed=3)
    assert captions != write_captions(SCENES, "test", seed=4)


def test_the_images_of_a_caption_share_facts() -> None:
    captions = write_captions(SCENES, "test", seed=3)
    shared = [caption for caption in captions if len(caption.items) > 1]
    assert len(shared) > 50
    for caption in shared:
        described = [PRODUCTS[image] for image in caption.items]
        assert len({product.category.shape for product in described}) == 1
        common = set.intersection(*(set(product.facts.items()) for product in described))
        assert common


def test_every_image_lists_its_captions(tmp_path: Path) -> None:
    captions = write_captions(SCENES[:50], "test", seed=3)
    correct = {
        30_000_000 + image: [
            30_000_000 + number for number, caption in enumerate(captions) if image in caption.items
        ]
        for image in range(50)
    }
    write_toy(tmp_path, [SplitSize("test", 50, 4)], seed=3)
    files = ToySplitFiles.of(tmp_path, "test")
    written = [json.loads(line) for line in files.captions.read_text("utf-8").splitlines()]
    assert [row["text"] for row in written] == [caption.text for caption in captions]
    rows = [json.loads(line) for line in files.correct.read_text("utf-8").splitlines()]
    assert [(row["image_id"], row["text_ids"]) for row in rows] == [
        (image, texts) for image, texts in correct.items() if texts
    ]
