"""Precision and recall of `tusou check`'s near duplicates, planted among look-alikes.

    python -m benchmarks.near_duplicates [--photos DATA]

The drawings are products in three colours and two poses; of the photos, a third are there again
with their middle in another colour. A third of all images is planted again: resized, recompressed,
cropped by up to 5 % on each side, with a watermark, or brighter or darker by a tenth. `--tune`
takes the images that the limits in `tusou_lab.check.appearance` were chosen on: another seed, and
the valid split of DATA instead of its test split.
"""

import argparse
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont
from tusou_lab.check.fingerprint import fingerprint_image
from tusou_lab.check.near_duplicates import group_near_duplicates
from tusou_lab.toy.catalogue import COLOURS, ToyProduct
from tusou_lab.toy.products import draw_facts
from tusou_lab.toy.scene import draw_image, draw_on_white

from benchmarks.record import record
from benchmarks.wilson import wilson_interval
from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.data import open_dataset
from tusou.data.base import ItemRow, scan_unique

Rng: TypeAlias = np.random.Generator
Named: TypeAlias = tuple[str, bytes]  # the name of an original, and an image file
_EVERY = 3  # one image in three is planted again, and one photo in three recoloured
_SHOWN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="dataset of photos with a test split")
    parser.add_argument("--products", type=int, default=500, help="drawn, in four images each")
    parser.add_argument("--tune", action="store_true", help="measure on the tuning images")
    options = parser.parse_args()
    seed = 1 if options.tune else 101
    figures: dict[str, object] = {
        "drawn_on_white": measure(list(draw(draw_on_white, options.products, seed)), seed),
        "drawn_in_rooms": measure(list(draw(draw_in_room, options.products, seed + 1)), seed),
    }
    if options.photos:
        split = "valid" if options.tune else "test"
        photos = list(read_photos(options.photos, split, seed))
        figures["photos"] = measure(photos, seed)
    record("near_duplicates", figures, save=not options.tune)


def measure(images: list[Named], seed: int) -> dict[str, object]:
    """Plant duplicates among images and return how many are found, with 95 % intervals."""
    rng, edits = np.random.default_rng([seed, 7]), tuple(EDITS)
    originals = [name for name, _ in images]
    files, kinds = [data for _, data in images], [""] * len(images)
    for number, (name, data) in enumerate(images[::_EVERY]):
        kind = edits[number % len(edits)]
        originals.append(name)
        kinds.append(kind)
        files.append(EDITS[kind](Image.open(BytesIO(data)).convert("RGB"), rng))
    groups = group_near_duplicates([fingerprint_image(data) for data in files])
    pairs = [(group[0], other) for group in groups for other in group[1:]]
    found = [other for first, other in pairs if originals[first] == originals[other]]
    wrong = [pair for pair in pairs if originals[pair[0]] != originals[pair[1]]]
    return {
        "images": len(images),
        "planted": len(files) - len(images),
        "precision": share(len(found), len(pairs)),
        "recall": share(len(found), len(files) - len(images)),
        "recall_by_kind": {
            kind: share(sum(kinds[n] == kind for n in found), kinds.count(kind)) for kind in edits
        },
        "largest_group": max(map(len, groups), default=0),
        "wrong": [f"{originals[a]} = {originals[b]} {kinds[b]}" for a, b in wrong[:_SHOWN]],
    }


def share(cases: int, total: int) -> dict[str, object]:
    """Return a share with its 95 % Wilson interval."""
    low, high = wilson_interval(cases, total)
    value = round(cases / max(total, 1), 4)
    return {"value": value, "of": total, "low": low, "high": high}


def draw_in_room(product: ToyProduct, rng: Rng) -> bytes:
    """Return an image of a product before a drawn background."""
    return draw_image([product], rng)


def draw(draw_one: Callable[[ToyProduct, Rng], bytes], products: int, seed: int) -> Iterator[Named]:
    """Yield each product in three colours, otherwise the same, and once in another pose."""
    for number in range(products):
        product, _ = draw_facts(seed, "test", number)
        colour = product.facts["colour"]
        others = np.random.default_rng([seed, number, 5]).permutation(sorted({*COLOURS} - {colour}))
        for name in (colour, *others[:2].tolist()):
            variant = ToyProduct(product.category, {**product.facts, "colour": name})
            data = draw_one(variant, np.random.default_rng([seed, number, 1]))
            yield f"{number} {name}", data
        yield f"{number} posed", draw_one(product, np.random.default_rng([seed, number, 2]))


def read_photos(folder: Path, split: str, seed: int) -> Iterator[Named]:
    """Yield the photos of a split, each third also with its middle in another colour."""
    pool, rng = open_dataset(str(folder)).images(split), np.random.default_rng([seed, 3])
    with ItemReader(pool.files) as reader:
        for number, row in enumerate(scan_unique(pool)):
            if not isinstance(row, ItemRow):
                continue
            stored = reader.read(row.file, row.offset, row.length)
            data = decode_stored_image(stored, pool.encoding)
            yield row.item_id, data
            if number % _EVERY == 0:
                image = Image.open(BytesIO(data)).convert("RGB")
                yield f"{row.item_id} recoloured", encode(recolour(image, rng))


def recolour(image: Image.Image, rng: Rng) -> Image.Image:
    """Turn the hue of the middle of an image by at least 70 degrees, and make it less grey."""
    turn = int(rng.integers(50, 206))
    hue, saturation, value = image.convert("HSV").split()
    bands = (
        hue.point([(level + turn) % 256 for level in range(256)]),
        saturation.point([min(255, level + 40) for level in range(256)]),
        value,
    )
    width, height = image.size
    middle = Image.new("L", image.size)
    box = (0.15 * width, 0.1 * height, 0.85 * width, 0.9 * height)
    ImageDraw.Draw(middle).ellipse(box, fill=255)
    return Image.composite(Image.merge("HSV", bands).convert("RGB"), image, middle)


def encode(image: Image.Image, quality: int = 90) -> bytes:
    data = BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def resize(image: Image.Image, rng: Rng) -> bytes:
    factor = float(rng.choice([0.5, 0.75, 1.5]))
    size = int(image.width * factor), int(image.height * factor)
    return encode(image.resize(size, Image.Resampling.LANCZOS))


def recompress(image: Image.Image, rng: Rng) -> bytes:
    return encode(image, int(rng.integers(30, 60)))


def crop(image: Image.Image, rng: Rng) -> bytes:
    """Cut 5 % off each side, or up to 5 % by chance."""
    cuts = np.full(4, 0.05) if rng.random() < 0.5 else rng.uniform(0, 0.05, 4)
    left, top, right, bottom = (cuts * np.tile(image.size, 2)).astype(int).tolist()
    return encode(image.crop((left, top, image.width - right, image.height - bottom)))


def watermark(image: Image.Image, rng: Rng) -> bytes:
    """Write a shop's name over the image, half transparent, in white or grey."""
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(int(image.width * rng.uniform(0.08, 0.14)))
    tone = (255, 255, 255) if rng.random() < 0.5 else (90, 90, 90)
    place = rng.uniform(0.05, 0.4) * image.width, rng.uniform(0.05, 0.85) * image.height
    fill = (*tone, int(rng.integers(90, 170)))
    ImageDraw.Draw(layer).text(place, "shop.example", font=font, fill=fill)
    return encode(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"))


def relight(image: Image.Image, rng: Rng) -> bytes:
    return encode(ImageEnhance.Brightness(image).enhance(float(rng.choice([0.9, 1.1]))))


EDITS: dict[str, Callable[[Image.Image, Rng], bytes]] = {
    "resized": resize,
    "recompressed": recompress,
    "cropped": crop,
    "watermarked": watermark,
    "brightness": relight,
}

if __name__ == "__main__":
    main()
