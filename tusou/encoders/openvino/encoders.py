"""The encoders: graphs that were converted once, compiled and asked."""

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import openvino

from tusou.core.arrays import Pixels, Vectors
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import ImageShape, TextShape, Tower
from tusou.encoders.base import Tokens, Weights
from tusou.encoders.openvino.cache import GRAPH, WORDS, Converted, can_keep, find_kept
from tusou.encoders.openvino.runtime import Arrays, Compiled
from tusou.encoders.packing import PASS_TOKENS, USUAL_TOKENS, cut, few_sizes, pack
from tusou.encoders.select_backend import ResolvedEncoder
from tusou.encoders.tokenizer import ClipTokenizer, check_tokens_fit

_CONVERSION = "tusou.encoders.openvino.convert"  # imports torch

_PASS_IMAGES = 4

_log = logging.getLogger(__name__)


class OpenVinoTextEncoder:
    """The text tower of a checkpoint, converted once."""

    backend = "openvino"

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self.precision = resolved.precision
        self._tokenizer = ClipTokenizer()
        shape = resolved.shape
        assert isinstance(shape, TextShape)
        check_tokens_fit(shape, self._tokenizer.vocab_size)
        converted = _kept_or_converted(resolved.weights, "text", self.precision)
        assert converted.words is not None
        self._words, self._compiled = converted.words, Compiled(converted.model)
        self.dim = shape.embed_dim

    @property
    def passes(self) -> None:
        """Vectors just come to the host."""

    def warm_up(self) -> None:
        """Compile what a query alone needs, and lay out weights for passes side by side."""
        for tokens in USUAL_TOKENS:
            self._encode(np.ones((1, tokens), np.int64))
        self._encode(np.ones((self._compiled.at_once * PASS_TOKENS // 20, 20), np.int64))

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        return self._tokenizer.prepare(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in passes of texts of like length, without padding."""
        return self._encode(tokens.ids)

    def _encode(self, ids: npt.NDArray[np.int64]) -> Vectors:
        vectors = np.empty((len(ids), self.dim), np.float32)
        parts = cut(np.count_nonzero(ids, axis=1), PASS_TOKENS, self._compiled.at_once)
        found = self._compiled.run([self._arrays(ids[rows]) for rows in parts])
        for rows, some in zip(parts, found, strict=True):
            vectors[rows] = some[: len(rows)]
        return vectors

    def _arrays(self, ids: npt.NDArray[np.int64]) -> Arrays:
        packed, count = pack(ids), len(ids)
        spare = len(packed.ids) - int(packed.lengths.sum())
        texts = np.repeat(np.append(np.arange(count), -1), np.append(packed.lengths, spare))
        starts = np.pad(packed.starts, (0, few_sizes(count) - count))
        numbers = (one.astype(np.int32) for one in (packed.positions, texts, starts))
        return [self._words[packed.ids].astype(np.float32), *numbers]


class OpenVinoImageEncoder:
    """The image tower of a checkpoint, converted once; transformers only."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self.precision = resolved.precision
        shape = resolved.shape
        assert isinstance(shape, ImageShape)
        converted = _kept_or_converted(resolved.weights, "image", self.precision)
        self._compiled = Compiled(converted.model)
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode squares made by `tusou.images.preprocess.to_pixels`."""
        share = -(-len(pixels) // self._compiled.at_once)
        size = max(1, min(share, _PASS_IMAGES))
        found = self._compiled.run([[pixels[i : i + size]] for i in range(0, len(pixels), size)])
        return np.concatenate([np.empty((0, self.dim), np.float32), *found])


def convert_and_keep(weights: Weights, tower: Tower, precision: str) -> Path | None:
    """Convert a tower unless it is kept, and say where; None where nothing can be kept."""
    kept = find_kept(weights, tower, precision)
    if kept is None and can_keep(weights):
        _log.info("converting the %s tower of %s for OpenVINO, once", tower, weights.name)
        _convert_apart(weights, tower, precision)
        kept = find_kept(weights, tower, precision)
    return kept


def _kept_or_converted(weights: Weights, tower: Tower, precision: str) -> Converted:
    kept = convert_and_keep(weights, tower, precision)
    if kept is None:
        convert = cast("Callable[..., Converted]", LazyImport(f"{_CONVERSION}:convert").load())
        return convert(weights, tower, precision)
    words = np.load(kept / WORDS, mmap_mode="r") if tower == "text" else None
    return Converted(openvino.Core().read_model(kept / GRAPH), words)


def _convert_apart(weights: Weights, tower: Tower, precision: str) -> None:
    """Convert in a process of its own: torch, and tensors in several forms, would stay in this one.

    When that fails, whoever tries here will see why.
    """
    asked = str(weights.path.absolute()), weights.digest, tower, precision
    command = [sys.executable, "-Pm", _CONVERSION, *asked]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
