"""The towers on a GPU: texts with and without CUDA graphs, images from either kind of memory."""

import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.floor import IMAGE_FLOPS
from benchmarks.stock import queries
from benchmarks.timing import repeated
from tusou.core.arrays import Pixels
from tusou.encoders import ImageEncoder, find_weights, load_image_encoder, resolve_encoder
from tusou.encoders.torch.encoder import ClipTextEncoder

_TEXTS = (1, 8, 32, 256, 1024)
_IMAGES = (64, 256, 512)
_PASSES = (64, 256)  # images, beside the 128 that is usual


def texts(model: Path, device: str, seconds: float) -> dict[str, object]:
    """Tokenise and encode: with the passes recorded, and without."""
    weights = find_weights(str(model))
    encoder = ClipTextEncoder(resolve_encoder(weights, "text", device, "auto", "torch"))
    plain = _texts_each(encoder, device, seconds)
    began = time.perf_counter()
    encoder.warm_up()
    return {
        "precision": encoder.precision,
        "recorded": encoder.recorded,
        "recording, s": round(time.perf_counter() - began, 2),
        "as recorded": _texts_each(encoder, device, seconds),
        "not recorded": plain,
    }


def images(model: Path, device: str, bf16_rate: float, seconds: float) -> dict[str, object]:
    """Encode images that are decoded already, in the precision that is the default."""
    encoder = _image_encoder(model, device)
    figures: dict[str, object] = {"precision": encoder.precision}
    for batch in _IMAGES if device == "cuda" else (4,):
        figures[f"calls of {batch}"] = _rate(encoder, batch, bf16_rate, seconds)
    if device == "cuda":
        most = _IMAGES[-1]
        others = {f"{size} a pass": _in_passes_of(size) for size in _PASSES}
        others["not page-locked"] = patch(
            "tusou.encoders.cuda.image_transfer.host_buffer", _pageable
        )
        for name, otherwise in others.items():
            encoder = _image_encoder(model, device, otherwise)
            figures[f"calls of {most}, {name}"] = _rate(encoder, most, bf16_rate, seconds)
    return figures


def _texts_each(encoder: ClipTextEncoder, device: str, seconds: float) -> dict[str, object]:
    drawn = queries(max(_TEXTS))
    figures: dict[str, object] = {}
    for batch in _TEXTS if device == "cuda" else _TEXTS[:2]:
        times = repeated(partial(_encode, encoder, drawn[:batch]), seconds / 2)
        middle = statistics.median(times)
        figures[f"batch {batch}"] = {
            "ms": round(1000 * middle, 3),
            "texts/s": round(batch / middle, 1),
        }
    return figures


def _encode(encoder: ClipTextEncoder, some: list[str]) -> None:
    encoder.encode(encoder.prepare(some))


def _image_encoder(
    model: Path, device: str, otherwise: AbstractContextManager[object] | None = None
) -> ImageEncoder:
    with otherwise or nullcontext():
        return load_image_encoder(find_weights(str(model)), device)


def _rate(encoder: ImageEncoder, batch: int, bf16_rate: float, seconds: float) -> dict[str, float]:
    pixels: Pixels = np.random.default_rng(1).integers(0, 256, (batch, 224, 224, 3), np.uint8)
    rate = batch / statistics.median(repeated(partial(encoder.encode, pixels), seconds / 2))
    return {
        "images/s": round(rate, 1),
        "share of the measured bf16 rate": round(rate * IMAGE_FLOPS / bf16_rate, 3),
    }


def _in_passes_of(size: int) -> AbstractContextManager[object]:
    return patch.dict("tusou.encoders.torch.encoder._PASS_IMAGES", cuda=size)


def _pageable(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    del device
    return torch.zeros(shape, dtype=dtype)
