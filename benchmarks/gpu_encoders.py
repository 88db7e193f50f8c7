"""Towers on a GPU: texts plain, with `torch.compile` and as CUDA graphs; images by pass size."""

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
from tusou.encoders.base import CONTEXT
from tusou.encoders.cuda.text_graphs import GraphShape, plan_passes
from tusou.encoders.torch.encoder import ClipTextEncoder

_TEXTS = (1, 8, 32, 256, 1024)
_IMAGES = (64, 256, 512)
_PASS_IMAGES = (64, 256)  # beside the usual 128


def texts(model: Path, device: str, seconds: float) -> dict[str, object]:
    """Tokenise and encode texts plainly, with `torch.compile` and with CUDA graphs."""
    batches = _TEXTS if device == "cuda" else _TEXTS[:2]
    resolved = resolve_encoder(find_weights(str(model)), "text", device, "auto", "torch")
    plain, graphs, compiled = (ClipTextEncoder(resolved) for _ in range(3))
    figures: dict[str, object] = {"precision": plain.precision}
    began = time.perf_counter()
    graphs.warm_up()
    figures["CUDA graphs recorded"] = graphs.recorded
    figures["recording CUDA graphs, s"] = round(time.perf_counter() - began, 2)
    began = time.perf_counter()
    _compile_passes(compiled, batches)
    figures["torch.compile works"] = compiled.recorded
    figures["compiling the shapes of these batches, s"] = round(time.perf_counter() - began, 2)
    variants = {
        "plain": plain,
        'torch.compile(mode="reduce-overhead")': compiled,
        "CUDA graphs": graphs,
    }
    for name, encoder in variants.items():
        figures[name] = _measure_texts(encoder, batches, seconds)
    return figures


def images(model: Path, device: str, bf16_rate: float, seconds: float) -> dict[str, object]:
    """Encode decoded images in the default precision."""
    encoder = _image_encoder(model, device)
    figures: dict[str, object] = {"precision": encoder.precision}
    for batch in _IMAGES if device == "cuda" else (4,):
        figures[f"calls of {batch}"] = _measure_images(encoder, batch, bf16_rate, seconds)
    if device == "cuda":
        batch = _IMAGES[-1]
        changes = {f"{size} a pass": _pass_size(size) for size in _PASS_IMAGES}
        changes["not page-locked"] = patch(
            "tusou.encoders.cuda.image_transfer.host_buffer", _pageable_buffer
        )
        for name, change in changes.items():
            encoder = _image_encoder(model, device, change)
            figures[f"calls of {batch}, {name}"] = _measure_images(
                encoder, batch, bf16_rate, seconds
            )
    return figures


def _compile_passes(encoder: ClipTextEncoder, batches: tuple[int, ...]) -> None:
    """Encode by compiled passes in the shapes, buffers and copies of the CUDA graphs."""
    on_gpu = encoder._device.type == "cuda"  # a CPU only tries the benchmark out
    compiled = torch.compile(
        encoder._padded_pass,
        dynamic=False,
        backend="inductor" if on_gpu else "eager",
        mode="reduce-overhead" if on_gpu else None,
    )
    graph_shapes = "tusou.encoders.cuda.text_graphs.graph_shapes"
    with (
        patch.object(encoder, "_padded_pass", compiled),
        patch(graph_shapes, return_value=_shapes_of(encoder, batches)),
        torch._dynamo.config.patch(recompile_limit=64),
    ):
        encoder.record(lambda work: work)  # torch replays its own graphs within


def _shapes_of(encoder: ClipTextEncoder, batches: tuple[int, ...]) -> list[GraphShape]:
    shapes: set[GraphShape] = set()
    for batch in batches:
        lengths = np.count_nonzero(encoder.prepare(queries(max(_TEXTS))[:batch]).ids, axis=1)
        shapes |= {shape for _, shape in plan_passes(lengths, CONTEXT)}
    return sorted(shapes, key=lambda shape: shape.tokens, reverse=True)


def _measure_texts(
    encoder: ClipTextEncoder, batches: tuple[int, ...], seconds: float
) -> dict[str, object]:
    drawn = queries(max(_TEXTS))
    figures: dict[str, object] = {}
    for batch in batches:
        times = repeated(partial(_encode, encoder, drawn[:batch]), seconds / 2)
        median = statistics.median(times)
        figures[f"batch {batch}"] = {
            "ms": round(1000 * median, 3),
            "texts/s": round(batch / median, 1),
        }
    return figures


def _encode(encoder: ClipTextEncoder, batch: list[str]) -> None:
    encoder.encode(encoder.prepare(batch))


def _image_encoder(
    model: Path, device: str, change: AbstractContextManager[object] | None = None
) -> ImageEncoder:
    with change or nullcontext():
        return load_image_encoder(find_weights(str(model)), device)


def _measure_images(
    encoder: ImageEncoder, batch: int, bf16_rate: float, seconds: float
) -> dict[str, float]:
    pixels: Pixels = np.random.default_rng(1).integers(0, 256, (batch, 224, 224, 3), np.uint8)
    rate = batch / statistics.median(repeated(partial(encoder.encode, pixels), seconds / 2))
    return {
        "images/s": round(rate, 1),
        "share of the measured bf16 rate": round(rate * IMAGE_FLOPS / bf16_rate, 3),
    }


def _pass_size(size: int) -> AbstractContextManager[object]:
    return patch.dict("tusou.encoders.torch.encoder._PASS_IMAGES", cuda=size)


def _pageable_buffer(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    del device
    return torch.zeros(shape, dtype=dtype)
