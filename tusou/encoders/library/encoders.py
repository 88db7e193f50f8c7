"""Text and image encoders that run a tower through its library, in batches."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tusou.core.arrays import Ids, Pixels, Vectors
from tusou.encoders.base import Tokens
from tusou.encoders.library.base import open_library_model
from tusou.encoders.library.tokenizer import LibraryTextTokenizer
from tusou.encoders.select_backend import ResolvedEncoder
from tusou.encoders.torch.cpu_threads import CpuThreads
from tusou.encoders.torch.layers import avoid_cudnn_attention

# Texts or images of a pass: enough to fill a core or a GPU.
_PASS_TEXTS = {"cpu": 32, "cuda": 512}
_PASS_IMAGES = {"cpu": 4, "cuda": 128}

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_USUAL_TEXT = "红色碎花裙子 red dress"


class LibraryTextEncoder:
    """The text tower of a model; the image tower is not kept."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        record = resolved.record
        assert record is not None
        self.backend, self.precision = resolved.backend, resolved.precision
        self.dim = resolved.shape.embed_dim
        self._device = torch.device(resolved.device)
        avoid_cudnn_attention(self._device)
        self._tokenizer = LibraryTextTokenizer(resolved.weights, record)
        dtype = _DTYPES[self.precision]
        self._model = open_library_model(resolved.weights, record, ("text",), dtype, self._device)
        self._threads = CpuThreads(self._device, heavy=resolved.shape.heavy)

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer.prepare(texts)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return self._tokenizer.unknown_share(texts)

    def warm_up(self) -> None:
        """Run the slow first pass."""
        self.encode(self.prepare([_USUAL_TEXT]))

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in passes of texts of similar length."""
        ids = tokens.ids
        vectors = np.empty((len(ids), self.dim), np.float32)

        def run_pass(rows: Ids) -> None:
            vectors[rows] = self._run_pass(ids[rows])

        order = np.argsort(np.count_nonzero(ids, axis=1), kind="stable")
        size = _pass_size(len(ids), self._threads.count, _PASS_TEXTS[self._device.type])
        self._threads.run(run_pass, [order[start:end] for start, end in _parts(len(ids), size)])
        return vectors

    @torch.inference_mode()
    def _run_pass(self, ids: npt.NDArray[np.int64]) -> Vectors:
        padded, mask = self._tokenizer.pad(ids)
        present = None if mask is None else torch.from_numpy(mask).to(self._device)
        tokens = torch.from_numpy(padded).to(self._device)
        return _finish(self._model.encode_text(tokens, present))


class LibraryImageEncoder:
    """The image tower of a model; the text tower is not kept."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        record = resolved.record
        assert record is not None
        self.backend, self.precision = resolved.backend, resolved.precision
        self.dim, self.transform = resolved.shape.embed_dim, resolved.transform
        self._device = torch.device(resolved.device)
        avoid_cudnn_attention(self._device)
        self._dtype = _DTYPES[self.precision]
        self._mean, self._std = (
            torch.tensor(values, device=self._device).view(3, 1, 1)
            for values in (record.mean, record.std)
        )
        self._model = open_library_model(
            resolved.weights, record, ("image",), self._dtype, self._device
        )
        self._threads = CpuThreads(self._device, heavy=resolved.shape.heavy)

    def encode(self, pixels: Pixels) -> Vectors:
        vectors = np.empty((len(pixels), self.dim), np.float32)

        def run_pass(rows: slice) -> None:
            vectors[rows] = self._run_pass(pixels[rows])

        size = _pass_size(len(pixels), self._threads.count, _PASS_IMAGES[self._device.type])
        self._threads.run(run_pass, [slice(*part) for part in _parts(len(pixels), size)])
        return vectors

    @torch.inference_mode()
    def _run_pass(self, pixels: Pixels) -> Vectors:
        images = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float().div_(255)
        normal = images.sub_(self._mean).div_(self._std).to(self._dtype)
        return _finish(self._model.encode_image(normal.contiguous()))


def _finish(vectors: Tensor) -> Vectors:
    units: Vectors = normalize(vectors.float()).cpu().numpy()
    return units


def _pass_size(count: int, threads: int, most: int) -> int:
    return max(1, min(ceil(count / threads), most))


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, count, size), count]))
