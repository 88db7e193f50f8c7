"""The encoders: graphs that were converted once, compiled and asked."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import openvino

from tusou.encoders.architecture import ImageShape, TextShape, Tower
from tusou.encoders.base import Tokens, Weights
from tusou.encoders.choice import shape_of
from tusou.encoders.openvino.kept import find_kept
from tusou.encoders.packing import PASS_TOKENS, USUAL_TOKENS, cut, few_sizes, pack
from tusou.encoders.tokens import ClipTokenizer, check_tokens_fit
from tusou.registry import Lazy
from tusou.types import Pixels, Vectors

_CONVERSION = "tusou.encoders.openvino.conversion"  # imports torch

_PASS_PICTURES = 4
_SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    # Types are in the graph: bf16 where it says so, and nowhere else.
    "INFERENCE_PRECISION_HINT": "f32",
    # Numbers along a row that share a scale in int8: as fast as more, and ranks keep better.
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128",
    # A service has other threads, which must not wait for cores that are taken while others idle.
    "ENABLE_CPU_PINNING": False,
}


class OpenVinoTextEncoder:
    """The text tower of a checkpoint, converted once."""

    engine = "openvino"

    def __init__(self, weights: Weights, device: str, precision: str) -> None:
        del device  # a processor; what OpenVINO makes of others has not been looked at
        self.precision = precision
        self._tokenizer = ClipTokenizer()
        shape = cast("TextShape", shape_of(weights, "text"))
        check_tokens_fit(shape, self._tokenizer.vocab_size)
        self._infer = _compiled(weights, "text", precision)
        self.dim = shape.embed_dim

    @property
    def passes(self) -> None:
        """Vectors just come to the host."""

    def warm_up(self) -> None:
        """Compile what a query alone needs."""
        for tokens in USUAL_TOKENS:
            self._one_pass(np.ones((1, tokens), np.int64))

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        return self._tokenizer.prepare(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in passes of texts of like length, without padding."""
        vectors = np.empty((len(tokens.ids), self.dim), np.float32)
        for rows in cut(np.count_nonzero(tokens.ids, axis=1), PASS_TOKENS):
            vectors[rows] = self._one_pass(tokens.ids[rows])
        return vectors

    def _one_pass(self, ids: npt.NDArray[np.int64]) -> Vectors:
        packed, count = pack(ids), len(ids)
        spare = len(packed.ids) - int(packed.lengths.sum())
        texts = np.repeat(np.append(np.arange(count), -1), np.append(packed.lengths, spare))
        starts = np.pad(packed.starts, (0, few_sizes(count) - count))
        arrays = packed.ids, packed.positions, texts, starts
        return self._infer([array.astype(np.int32) for array in arrays])[:count]


class OpenVinoImageEncoder:
    """The image tower of a checkpoint, converted once; transformers only."""

    def __init__(self, weights: Weights, device: str, precision: str) -> None:
        del device
        self.precision = precision
        shape = cast("ImageShape", shape_of(weights, "image"))
        self._infer = _compiled(weights, "image", precision)
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode squares made by `tusou.images.to_pixels`."""
        vectors = np.empty((len(pixels), self.dim), np.float32)
        for start in range(0, len(pixels), _PASS_PICTURES):
            rows = slice(start, start + _PASS_PICTURES)
            vectors[rows] = self._infer([pixels[rows]])
        return vectors


def _compiled(
    weights: Weights, tower: Tower, precision: str
) -> Callable[[Sequence[npt.NDArray[Any]]], Vectors]:
    """Load a tower's graph, converted the first time."""
    core = openvino.Core()
    model = _kept_or_converted(core, weights, tower, precision)
    request = core.compile_model(model, "CPU", _SETTINGS).create_infer_request()
    alone = Lock()

    def infer(arrays: Sequence[npt.NDArray[Any]]) -> Vectors:
        with alone:  # the next call overwrites what this one found
            vectors: Vectors = np.array(
                request.infer(dict(enumerate(arrays)), share_inputs=True)[0]
            )
        return vectors

    return infer


def _kept_or_converted(core: Any, weights: Weights, tower: Tower, precision: str) -> Any:
    kept = find_kept(weights, tower, precision)
    if kept is None:
        _convert_apart(weights, tower, precision)
        kept = find_kept(weights, tower, precision)
    if kept is not None:
        return core.read_model(kept)
    convert = cast("Callable[[Weights, Tower, str], Any]", Lazy(f"{_CONVERSION}:convert").load())
    return convert(weights, tower, precision)


def _convert_apart(weights: Weights, tower: Tower, precision: str) -> None:
    """Convert in a process of its own: torch, and tensors in several forms, would stay in this one.

    When that fails, whoever tries here will see why.
    """
    asked = str(weights.path.absolute()), weights.digest, tower, precision
    command = [sys.executable, "-Pm", _CONVERSION, *asked]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
