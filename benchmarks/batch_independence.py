"""Compares vectors of the same items in other batches, for every backend of a processor.

python -m benchmarks.batch_independence

A batch of images is encoded in other orders, beside blank images, and cut to other sizes; texts are
encoded in another order, without half of them, and alone. Figures are the vectors that differ in
any bit, and the largest difference of a number. Models are the demo model, and a ViT-B/16 with
random weights, whose sums are as long as in a published one.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tusou_indexer.build import BATCH_ROWS
from tusou_indexer.index.recall_probes import PROBE_TEXTS

from benchmarks.record import record
from benchmarks.stock import save_random_model
from benchmarks.timing import fastest_in_turn
from tusou.core.arrays import Pixels, Vectors
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    Weights,
    find_weights,
    load_image_encoder,
    load_text_encoder,
)
from tusou.images.transform import as_transforms

_BACKENDS = [
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]
_POOL = 30_000  # images of the build whose cost is stated
_LONG = "适合小个子女生夏天穿的"
TEXTS = [*PROBE_TEXTS[:48], *(_LONG * (number % 5 + 1) for number in range(16))]


def main() -> None:
    """Measure both models and record the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit-b-16.pt")
        save_random_model(path)
        # Passes have four images in a batch of 16 as in one of 64, in a quarter of the time.
        figures = {
            "demo": measure(find_weights("demo"), BATCH_ROWS),
            "ViT-B/16": measure(find_weights(str(path)), BATCH_ROWS // 4),
        }
    more = -_POOL % BATCH_ROWS
    record(
        "batch_independence",
        {
            **figures,
            "images_of_a_batch": BATCH_ROWS,
            "blank_images_in_a_build_of_30000": more,
            "cost_of_full_batches_percent": round(100 * more / _POOL, 3),
            "cost_at_most_percent": round(100 * (BATCH_ROWS - 1) / _POOL, 3),
        },
    )


def measure(weights: Weights, batch: int) -> dict[str, object]:
    """Return the figures of one model, by backend and precision."""
    figures: dict[str, object] = {}
    for backend, precision in _BACKENDS:
        images = load_image_encoder(weights, "cpu", precision, backend)
        texts = load_text_encoder(weights, "cpu", None, precision, backend)
        figures[f"{backend}, {precision}"] = {
            "images": measure_images(images, batch),
            "texts": measure_texts(texts),
        }
    return figures


def measure_images(encoder: ImageEncoder, batch: int) -> dict[str, object]:
    """Return how many vectors change with the neighbours, and with the number of images."""
    (transform,) = as_transforms(encoder.transform)
    size = transform.side
    random = np.random.default_rng(1)
    blocks = random.integers(0, 256, (batch, 4, 4, 3), np.uint8)
    pixels = blocks.repeat(size // 4, axis=1).repeat(size // 4, axis=2)
    pixels = np.pad(pixels, ((0, 0), (0, size % 4), (0, size % 4), (0, 0)))
    vectors = encoder.encode(pixels)
    orders = [np.arange(batch)[::-1], np.roll(np.arange(batch), 1), random.permutation(batch)]
    moved = [(encoder.encode(pixels[order]), vectors[order]) for order in orders]
    few = [(encoder.encode(beside_blank(pixels, n))[:n], vectors[:n]) for n in (1, 3, 6)]
    cut = [(encoder.encode(pixels[:n]), vectors[:n]) for n in (1, 2, 3, 5, batch - 1)]
    return {
        "other_neighbours": differences([*moved, *few]),
        "other_number_of_images": differences(cut),
    }


def beside_blank(pixels: Pixels, count: int) -> Pixels:
    """Return the first images and blank ones, as many as before."""
    batch = np.zeros_like(pixels)
    batch[:count] = pixels[:count]
    return batch


def measure_texts(encoder: TextEncoder) -> dict[str, object]:
    """Return how many vectors change with the neighbours, and the cost of encoding texts alone."""

    def encode(texts: Sequence[str]) -> Vectors:
        return encoder.encode(encoder.prepare(texts))

    def encode_alone() -> Vectors:
        return np.concatenate([encode([text]) for text in TEXTS])

    vectors, half = encode(TEXTS), len(TEXTS) // 2
    order = np.random.default_rng(1).permutation(len(TEXTS))
    others = [
        (encode([TEXTS[row] for row in order]), vectors[order]),
        (encode(TEXTS[:half]), vectors[:half]),
    ]
    works = {"together": lambda: encode(TEXTS), "alone": encode_alone}
    seconds = fastest_in_turn(works, rounds=2)
    return {
        "other_neighbours": differences(others),
        "alone": differences([(encode_alone(), vectors)]),
        "alone_takes_times": round(seconds["alone"] / seconds["together"], 2),
    }


def differences(pairs: Sequence[tuple[Vectors, Vectors]]) -> dict[str, object]:
    """Return how many vectors differ in any bit, and by how much at most."""
    largest = max(float(np.abs(one - other).max()) for one, other in pairs)
    return {
        "vectors": sum(len(one) for one, _ in pairs),
        "differ": sum(map(_differing, *zip(*pairs, strict=True))),
        "largest": float(f"{largest:.1e}"),
    }


def _differing(one: Vectors, other: Vectors) -> int:
    return int((one.view(np.uint32) != other.view(np.uint32)).any(axis=1).sum())


if __name__ == "__main__":
    main()
