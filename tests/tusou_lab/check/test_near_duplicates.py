"""Near duplicates: copies are found, other colours are not, and nothing chains."""

import json
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance
from reading import write_file
from tusou_lab.check.appearance import Appearances
from tusou_lab.check.fingerprint import fingerprint_image
from tusou_lab.check.near_duplicates import group_near_duplicates
from tusou_lab.check.run import check
from tusou_lab.toy.catalogue import COLOURS, ToyProduct
from tusou_lab.toy.products import draw_facts
from tusou_lab.toy.scene import draw_on_white

from tusou.cli.progress import NoProgress


def shirt(colour: str, number: int = 0, pose: int = 1) -> Image.Image:
    product, _ = draw_facts(5, "test", number)
    product = ToyProduct(product.category, {**product.facts, "colour": colour})
    data = draw_on_white(product, np.random.default_rng([number, pose]))
    return Image.open(BytesIO(data)).convert("RGB")


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def watermarked(image: Image.Image) -> Image.Image:
    layer = Image.new("RGBA", image.size)
    ImageDraw.Draw(layer).text((40, 100), "shop.example", fill=(90, 90, 90, 140), font_size=24)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def groups_of(*images: bytes) -> list[list[int]]:
    return group_near_duplicates([fingerprint_image(data) for data in images])


COPIES = {
    "resized": lambda image: encoded(image.resize((112, 112))),
    "recompressed": lambda image: encoded(image, 35),
    "cropped": lambda image: encoded(image.crop((11, 11, 213, 213))),
    "watermarked": lambda image: encoded(watermarked(image)),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1)),
    "darker": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.9)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_and_other_colours_are_not(copy: str) -> None:
    """A hash of the grey image, or one that the white ground fills, confuses the colours."""
    colours = [shirt(colour) for colour in COLOURS]
    copies = [COPIES[copy](image) for image in colours[:4]]
    originals = [encoded(image) for image in colours]
    n = len(originals)
    assert groups_of(*originals) == []
    assert groups_of(*originals, *copies) == [[number, n + number] for number in range(4)]


def test_products_on_white_are_no_near_duplicates_of_each_other() -> None:
    images = [shirt("black", number, pose) for number in range(40) for pose in (1, 2)]
    assert groups_of(*map(encoded, images)) == []


def test_the_same_bytes_are_no_near_duplicates() -> None:
    red = encoded(shirt("red"))
    assert groups_of(red, red, encoded(shirt("red"), 40), red) == [[0, 2]]


def test_groups_do_not_chain() -> None:
    """Each image looks like the one before it, but the last does not look like the first."""
    steps = [ImageEnhance.Brightness(shirt("sky")).enhance(0.9**step) for step in range(8)]
    images = [fingerprint_image(encoded(image)) for image in steps]
    groups = group_near_duplicates(images)
    looks = Appearances.from_thumbnails([image.thumbnail for image in images])
    for first, *others in groups:
        assert looks.compare(np.full(len(others), first), np.array(others)).all()
    assert not looks.compare(np.array([0]), np.array([7]))[0]
    assert not any({0, 7} <= set(group) for group in groups)
    assert {image for group in groups for image in group} == set(range(8))


def test_many_copies_are_one_group() -> None:
    image = shirt("red").resize((64, 64))
    copies = [encoded(image.resize((64 + n, 64 + n))) for n in range(100)]  # more than a block
    other = encoded(shirt("green"))
    assert groups_of(other, *copies) == [list(range(1, 101))]


def test_no_images_have_no_near_duplicates() -> None:
    assert groups_of() == []
    assert groups_of(encoded(Image.new("RGB", (50, 50)))) == []


def test_vectors_choose_the_pairs_that_are_compared() -> None:
    images = [shirt("red"), shirt("blue"), shirt("red").resize((100, 100))]
    prints = [fingerprint_image(encoded(image)) for image in images]
    alike, apart = np.ones((3, 1), np.float32), np.eye(3, dtype=np.float32)
    assert group_near_duplicates(prints, alike) == [[0, 2]]
    assert group_near_duplicates(prints, apart) == []


def test_leaks_from_train_to_test_are_named(tmp_path: Path) -> None:
    files = {
        "train": {1: encoded(shirt("red")), 2: encoded(shirt("blue"))},
        "test": {10: encoded(shirt("green")), 11: encoded(shirt("red").resize((150, 150)))},
    }
    for split, images in files.items():
        rows = [f"{key}\t{b64encode(data).decode()}\n" for key, data in images.items()]
        write_file(tmp_path / f"MR_{split}_imgs.tsv", "".join(rows))
        query = {"query_id": 1, "query_text": f"{split}裙", "item_ids": list(images)}
        write_file(tmp_path / f"MR_{split}_queries.jsonl", json.dumps(query) + "\n")
    report = check(str(tmp_path), NoProgress(), workers=1)
    (finding,) = report.findings
    assert (finding.code, finding.count) == ("shared_looks", 1)
    assert finding.examples == ("train 1 = test 11",)
