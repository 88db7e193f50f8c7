"""Cosines of near duplicates and of look-alikes in a model's vectors, for `collapse`.

    python -m benchmarks.collapse [--model MODEL] [--photos DATA]

The images and the planted edits are those of `benchmarks.near_duplicates`: products drawn in three
colours and two poses, and photos. For each threshold, the share of planted copies that have at
least this cosine to their original, and of images that have it to an image of another name.
"""

import argparse
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tusou_lab.toy.scene import draw_on_white

from benchmarks.near_duplicates import EDITS, Named, draw, draw_in_room, read_photos, share
from benchmarks.record import record
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.grouping import NEAR_DUPLICATE_COSINE

THRESHOLDS = (0.95, 0.97, 0.98, 0.99)
_SEED = 101
_BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--photos", type=Path, help="dataset of photos with a test split")
    parser.add_argument("--products", type=int, default=150, help="drawn, in four images each")
    options = parser.parse_args()
    encoder = ModelVectors(options.model)
    drawn = {"drawn on white": draw_on_white, "drawn in rooms": draw_in_room}
    figures: dict[str, object] = {"threshold in use": NEAR_DUPLICATE_COSINE}
    for name, function in drawn.items():
        figures[name] = measure(list(draw(function, options.products, _SEED)), encoder)
    if options.photos:
        figures["photos"] = measure(list(read_photos(options.photos, "test", _SEED)), encoder)
    record("collapse", figures)


class ModelVectors:
    """Encodes image files."""

    def __init__(self, model: str) -> None:
        self._encoder = load_image_encoder(find_weights(model), "cpu", "auto")

    def encode(self, files: list[bytes]) -> Vectors:
        """Return unit vectors, (n, d)."""
        parts = []
        for start in range(0, len(files), _BATCH):
            images = [open_image(data) for data in files[start : start + _BATCH]]
            pixels = [to_pixels(image, self._encoder.transform) for image in images]
            parts.append(self._encoder.encode(np.stack(pixels)))
        return np.concatenate(parts)


def measure(images: list[Named], encoder: ModelVectors) -> dict[str, object]:
    """Return the shares of planted copies and of other images at each threshold."""
    rng, edits = np.random.default_rng(_SEED), tuple(EDITS)
    names = np.array([name for name, _ in images])
    files = [data for _, data in images]
    originals = encoder.encode(files)
    kinds = np.array([edits[number % len(edits)] for number in range(len(files))])
    copies = encoder.encode(
        [
            EDITS[kind](Image.open(BytesIO(data)).convert("RGB"), rng)
            for kind, data in zip(kinds, files, strict=True)
        ]
    )
    own = np.einsum("nd,nd->n", originals, copies)
    others = originals @ originals.T
    others[names[:, None] == names] = -1
    nearest = others.max(axis=1)
    return {
        "images": len(images),
        "copies at or above": {
            str(limit): {
                "all": share(int((own >= limit).sum()), len(own)),
                **{kind: round(float((own[kinds == kind] >= limit).mean()), 3) for kind in edits},
            }
            for limit in THRESHOLDS
        },
        "images with another one at or above": {
            str(limit): share(int((nearest >= limit).sum()), len(nearest)) for limit in THRESHOLDS
        },
    }


if __name__ == "__main__":
    main()
