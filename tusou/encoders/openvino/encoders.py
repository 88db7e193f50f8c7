"""Text and image encoders in OpenVINO, from towers that are converted once and cached."""

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
from tusou.encoders.architecture import ImageShape, TextShape
from tusou.encoders.base import Tokens
from tusou.encoders.calibrated_precision import graph_of
from tusou.encoders.openvino.cache import GRAPH, WORDS, ConvertedTower, can_store, find_cached
from tusou.encoders.openvino.calibrated_graph import require_calibrated
from tusou.encoders.openvino.runtime import Arrays, CompiledModel
from tusou.encoders.packing import PASS_TOKENS, USUAL_TOKENS, pack, round_up_count, split_batch
from tusou.encoders.select_backend import ResolvedEncoder

_CONVERSION = "tusou.encoders.openvino.convert"  # imports torch

_PASS_IMAGES = 4

_log = logging.getLogger(__name__)


class OpenVinoTextEncoder:
    """The text tower of a checkpoint."""

    backend = "openvino"

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self.precision = resolved.precision
        self._tokenizer = resolved.open_tokenizer()
        shape = resolved.shape
        assert isinstance(shape, TextShape)
        model, words = _load_converted(resolved)
        assert words is not None
        self._words, self._model = words, CompiledModel(model)
        self.dim, self._takes_last = shape.embed_dim, shape.pooling == "last"

    def warm_up(self) -> None:
        """Compile the kernels of single queries, and the model for parallel passes."""
        for tokens in USUAL_TOKENS:
            self.encode(Tokens(np.ones((1, tokens), np.int64), ()))
        many = np.ones((self._model.parallel * PASS_TOKENS // 20, 20), np.int64)
        self.encode(Tokens(many, ()))

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer.prepare(texts)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return self._tokenizer.unknown_share(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in packed passes of texts of similar length."""
        ids = tokens.ids
        vectors = np.empty((len(ids), self.dim), np.float32)
        passes = split_batch(np.count_nonzero(ids, axis=1), PASS_TOKENS, self._model.parallel)
        results = self._model.run([self._arrays(ids[rows]) for rows in passes])
        for rows, encoded in zip(passes, results, strict=True):
            vectors[rows] = encoded[: len(rows)]
        return vectors

    def _arrays(self, ids: npt.NDArray[np.int64]) -> Arrays:
        packed, count = pack(ids), len(ids)
        filler = len(packed.ids) - int(packed.lengths.sum())
        texts = np.repeat(np.append(np.arange(count), -1), np.append(packed.lengths, filler))
        taken = packed.starts + packed.lengths - 1 if self._takes_last else packed.starts
        taken = np.pad(taken, (0, round_up_count(count) - count))
        indices = (array.astype(np.int32) for array in (packed.positions, texts, taken))
        return [self._words[packed.ids].astype(np.float32), *indices]


class OpenVinoImageEncoder:
    """The image tower of a checkpoint, a vision transformer."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self.precision = resolved.precision
        shape = resolved.shape
        assert isinstance(shape, ImageShape)
        model, _ = _load_converted(resolved)
        self._model = CompiledModel(model)
        self.dim, self.transform = shape.embed_dim, resolved.transform

    def encode(self, pixels: Pixels) -> Vectors:
        share = -(-len(pixels) // self._model.parallel)
        size = max(1, min(share, _PASS_IMAGES))
        results = self._model.run([[pixels[i : i + size]] for i in range(0, len(pixels), size)])
        return np.concatenate([np.empty((0, self.dim), np.float32), *results])


def convert_to_cache(resolved: ResolvedEncoder) -> Path | None:
    """Return the cached folder of a tower, converting it if necessary; None if it is not stored.

    It is not stored where nothing may be written beside the weights, or the conversion fails.
    """
    weights, tower = resolved.weights, resolved.tower
    key = weights, tower, resolved.precision, resolved.variant
    cached = find_cached(*key)
    if cached is None and can_store(weights):
        _log.info("converting the %s tower of %s for OpenVINO, once", tower, weights.name)
        _run_converter(resolved)
        cached = find_cached(*key)
    return cached


def _load_converted(resolved: ResolvedEncoder) -> ConvertedTower:
    digest = graph_of(resolved.precision)
    if digest is not None:
        graph = require_calibrated(resolved.weights, digest, resolved.variant) / GRAPH
        return openvino.Core().read_model(graph), None
    cached = convert_to_cache(resolved)
    if cached is None:
        convert = cast("Callable[..., ConvertedTower]", LazyImport(f"{_CONVERSION}:convert").load())
        return convert(resolved)
    words = np.load(cached / WORDS, mmap_mode="r") if resolved.tower == "text" else None
    return openvino.Core().read_model(cached / GRAPH), words


def _run_converter(resolved: ResolvedEncoder) -> None:
    """Convert in another process: torch and several copies of the tensors would stay in this one.

    Its errors are ignored: the caller converts again in this process, and raises them.
    """
    weights = resolved.weights
    path = str(weights.path.absolute())
    arguments = path, weights.digest, resolved.tower, resolved.precision
    architecture = [weights.open_clip] if weights.open_clip else []
    command = [sys.executable, "-Pm", _CONVERSION, *arguments, *architecture]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
