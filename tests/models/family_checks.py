"""Checks of every family of models: the same vectors as its library, and the main commands."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.browser.serving import serving
from tests.drawing import image_bytes, image_line
from tests.models.tiny import TEXTS
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.images.preprocess import open_image, to_pixels

LEAST_COSINE = 0.99999
ITEMS = 40
START_SECONDS = 300.0  # of a service: the libraries are imported slowly where cores are shared
# The tolerance of single precision: batches are summed in another order than single texts.
ROUNDING = 2e-6


@dataclass(frozen=True, slots=True)
class LibraryVectors:
    """The library's own vectors, of texts and of images that its own processor prepared.

    Both return arrays (n, dim), of any length of rows.
    """

    texts: Callable[[Sequence[str]], np.ndarray[Any, Any]]
    images: Callable[[Sequence[Image.Image]], np.ndarray[Any, Any]]


def draw_images(count: int = ITEMS) -> list[bytes]:
    """Draw images as items have them: upright and wide, JPEG and PNG."""
    images = []
    for seed in range(count):
        with Image.open(BytesIO(image_bytes(seed, 120))) as image:
            width, height = ((120, 120), (90, 120), (120, 70))[seed % 3]
            part, out = image.crop((0, 0, width, height)), BytesIO()
            part.save(out, "PNG" if seed % 2 else "JPEG")
        images.append(out.getvalue())
    return images


def encode_texts(model: Path, texts: Sequence[str]) -> Vectors:
    encoder = load_text_encoder(find_weights(str(model)), "cpu", None, "fp32")
    return encoder.encode(encoder.prepare(texts))


def encode_images(model: Path, images: Sequence[bytes]) -> Vectors:
    encoder = load_image_encoder(find_weights(str(model)), "cpu", "fp32")
    pixels = [to_pixels(open_image(data), encoder.transform) for data in images]
    return encoder.encode(np.stack(pixels))


def check_parity(model: Path, library: LibraryVectors) -> None:
    """Assert the same vectors as the library's, and the same ten best images of each text."""
    drawn = draw_images()
    texts, images = encode_texts(model, TEXTS), encode_images(model, drawn)
    opened = [Image.open(BytesIO(data)).convert("RGB") for data in drawn]
    expected_texts, expected_images = _units(library.texts(TEXTS)), _units(library.images(opened))
    assert (texts * expected_texts).sum(axis=1).min() >= LEAST_COSINE
    assert (images * expected_images).sum(axis=1).min() >= LEAST_COSINE
    assert _spread(texts) > 1 - LEAST_COSINE  # else all vectors are one, and equal by that
    assert _spread(images) > 1 - LEAST_COSINE
    ours, theirs = texts @ images.T, expected_texts @ expected_images.T
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(_top_ten(ours), _top_ten(theirs))


def check_invariance(model: Path) -> None:
    """Assert that a vector does not depend on the others of its batch, nor on their lengths."""
    encoder = load_text_encoder(find_weights(str(model)), "cpu", None, "fp32")
    together = encoder.encode(encoder.prepare(TEXTS))
    alone = [encoder.encode(encoder.prepare([text])) for text in TEXTS]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=ROUNDING)
    many = [text for text in TEXTS for _ in range(30)][::-1]
    np.testing.assert_allclose(
        encoder.encode(encoder.prepare(many)), together.repeat(30, axis=0)[::-1], atol=ROUNDING
    )
    assert encoder.prepare(TEXTS).truncated == (False,) * (len(TEXTS) - 1) + (True,)
    assert encoder.encode(encoder.prepare([])).shape == (0, encoder.dim)
    drawn = draw_images(9)
    images = encode_images(model, drawn)
    single = [encode_images(model, [data]) for data in drawn]
    np.testing.assert_allclose(np.concatenate(single), images, atol=ROUNDING)


def check_commands(model: Path, folder: Path, *options: str, **settings: str) -> Path:
    """Index with the model, evaluate, and search a real service; return the bundle.

    `options` go to `tusou index`, `settings` to the environment of the service.
    """
    pool, queries = write_data(folder)
    bundle = folder / "bundle"
    words = ("--out", str(bundle), "--model", str(model), "--precision", "fp32", *options)
    tusou("index", str(pool), *words, "--device", "cpu")
    done = tusou("evaluate", str(bundle), "--answers", str(queries), "--json", **settings)
    percent = json.loads(done.stdout)["percent"]
    expected = encode_texts(model, TEXTS[:3]) @ encode_images(model, _images()).T
    ranked = np.argsort(-expected, axis=1, kind="stable")[:, :10]
    hits = [row[0] == number for number, row in enumerate(ranked)]
    assert percent["hit@1"] == pytest.approx(100 * sum(hits) / len(hits))
    options_of_service = {"TUSOU_DEVICE": "cpu", "TUSOU_PRECISION": "fp32", **settings}
    with (
        serving(
            bundle, folder / "service.log", start_seconds=START_SECONDS, **options_of_service
        ) as site,
        httpx.Client(
            base_url=site.url, timeout=60, headers={"X-Request-Timeout-Ms": "30000"}
        ) as client,
    ):
        for text, row, scores in zip(TEXTS[:3], ranked, expected, strict=True):
            found = client.post("/search", json={"query": text, "top_k": 10}).json()
            assert found["item_ids"] == [f"{number}.jpg" for number in row]
            np.testing.assert_allclose(found["scores"], scores[row], atol=1e-5)
    return bundle


def tusou(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    import os

    command = [sys.executable, "-m", "tusou", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | settings
    )
    assert done.returncode == 0, done.stderr
    return done


def _images() -> list[bytes]:
    return [image_bytes(seed, 48, "PNG" if seed % 3 == 0 else "JPEG") for seed in range(ITEMS)]


def write_data(folder: Path) -> tuple[Path, Path]:
    """Write a pool, and queries of which the first item is said to be right for the first."""
    pool, queries = folder / "MR_test_imgs.tsv", folder / "MR_test_queries.jsonl"
    lines = [image_line(f"{seed}.jpg", seed, 48) for seed in range(ITEMS)]
    pool.write_bytes(b"".join(lines))
    rows = [
        {"query_id": f"{number}.jpg#enc#0", "query_text": text, "item_ids": [f"{number}.jpg"]}
        for number, text in enumerate(TEXTS[:3])
    ]
    queries.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return pool, queries


def _units(vectors: np.ndarray[Any, Any]) -> Vectors:
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def _spread(vectors: Vectors) -> float:
    """Return how far apart the closest two different rows are, as 1 minus their cosine."""
    cosines = vectors @ vectors.T
    return float(1 - cosines[~np.eye(len(vectors), dtype=bool)].max())


def _top_ten(scores: Vectors) -> Vectors:
    return np.argsort(-scores, axis=1, kind="stable")[:, :10]


def check_near(cosines: np.ndarray[Any, Any], precision: str) -> None:
    """Assert that vectors are those of single precision, as near as the precision rounds.

    bf16 keeps 8 bits. The sums of a vector of tiny towers can nearly cancel, so one of many may
    be further away.
    """
    if precision == "fp32":
        assert cosines.min() >= LEAST_COSINE
    else:
        assert np.median(cosines) >= 0.998
        assert cosines.min() >= 0.95
