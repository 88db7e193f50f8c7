"""Stock cn_clip beside our encoders: a random ViT-B/16 in its format, in one process.

Stock cn_clip runs in the thread that shares our own single passes among the cores: two threads of
that kind would slow each other down (`tusou.encoders.torch.cpu_threads`).
"""

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.stock import (
    jpegs,
    load_stock,
    queries,
    save_random_model,
    stock_images,
    stock_texts,
)
from benchmarks.timing import compare
from tusou.core.arrays import Vectors
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    find_weights,
    load_image_encoder,
    load_text_encoder,
)
from tusou.encoders.devices import has_int8
from tusou.encoders.torch.cpu_threads import on_all_cores, on_one_core
from tusou.images.preprocess import open_image, to_pixels

SIDES = (224, 400)
IMAGES = 16
PRECISIONS = ("auto", "fp32", "int8") if has_int8() and find_spec("openvino") else ("auto", "fp32")

Variants = dict[str, Callable[[], Vectors]]


def measure_texts(rounds: int, batches: tuple[int, ...], seconds: float) -> dict[str, object]:
    """Encode texts of 8 tokens on average, tokenising included; `seconds` for each batch size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit-b-16.pt")
        with on_one_core():
            save_random_model(path)
            stock, weights = load_stock(path), find_weights(str(path))
        ours = {name: load_text_encoder(weights, "cpu", precision=name) for name in PRECISIONS}
    figures: dict[str, object] = {
        "default backend": ours["auto"].backend,
        "default precision": ours["auto"].precision,
    }
    for batch in batches:
        texts = queries(batch)
        variants: Variants = {"stock": partial(on_all_cores, partial(stock_texts, stock, texts))}
        variants |= {_label(e, name): partial(our_texts, e, texts) for name, e in ours.items()}
        turns = max(3, rounds // (1 + batch // 32))
        figures[f"batch {batch}"] = _measure(variants, batch, turns, seconds)
    return figures


def measure_images(rounds: int, seconds: float) -> dict[str, object]:
    """Decode, resize and encode JPEG images, in one process; `seconds` for each size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit-b-16.pt")
        with on_one_core():
            save_random_model(path)
            stock, weights = load_stock(path), find_weights(str(path))
        ours = {name: load_image_encoder(weights, "cpu", name) for name in PRECISIONS}
    figures: dict[str, object] = {"default precision": ours["auto"].precision}
    for side in SIDES:
        files = jpegs(IMAGES, side)
        variants: Variants = {"stock": partial(on_all_cores, partial(stock_images, stock, files))}
        variants |= {_label(e, name): partial(our_images, e, files) for name, e in ours.items()}
        figures[f"{side} px"] = _measure(variants, IMAGES, max(3, rounds // 4), seconds)
    return figures


def our_texts(encoder: TextEncoder, texts: list[str]) -> Vectors:
    """Tokenise and encode."""
    return encoder.encode(encoder.prepare(texts))


def our_images(encoder: ImageEncoder, files: list[bytes]) -> Vectors:
    """Decode, resize and encode."""
    size = encoder.transform
    return encoder.encode(np.stack([to_pixels(open_image(data), size) for data in files]))


def _label(encoder: TextEncoder | ImageEncoder, requested: str) -> str:
    return f"tusou, {encoder.precision}" if requested != "auto" else "tusou"


def _measure(variants: Variants, items: int, rounds: int, seconds: float) -> dict[str, object]:
    results = {name: work() for name, work in variants.items()}
    cosines = {
        name: round(float((vectors * results["stock"]).sum(axis=1).min()), 6)
        for name, vectors in results.items()
    }
    times = compare(variants, "stock", rounds, items, seconds=seconds)
    return {**times, "lowest cosine to stock": cosines}
