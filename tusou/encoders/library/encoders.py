"""Text and image encoders that run a tower through its library, in batches."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tusou.core.arrays import Ids, Pixels, Vectors
from tusou.encoders.base import Tokens
from tusou.encoders.library.base import open_library_model, open_library_tokenizer
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
        self._tokenizer = open_library_tokenizer(resolved.weights, record)
        self._tokenizing = Lock()  # not all tokenizers can be called by several threads
        self._lower = record.lower_case
        self._width = record.context_length if record.padding == "max_length" else 0
        dtype = _DTYPES[self.precision]
        self._model = open_library_model(resolved.weights, record, ("text",), dtype, self._device)
        self._threads = CpuThreads(self._device, heavy=resolved.shape.heavy)

    def prepare(self, texts: Sequence[str]) -> Tokens:
        with self._tokenizing:
            rows, truncated = self._tokenizer.tokenize([self._clean(text) for text in texts])
        ids = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for row, values in zip(ids, rows, strict=True):
            row[: len(values)] = values
            row[: len(values)] += 1  # 0 is padding
        return Tokens(ids, tuple(truncated))

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

    def _clean(self, text: str) -> str:
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate is not tokenised
        return text.lower() if self._lower else text

    @torch.inference_mode()
    def _run_pass(self, ids: npt.NDArray[np.int64]) -> Vectors:
        padded, mask = self._pad(ids)
        present = mask if self._tokenizer.masks_padding else None
        return _finish(self._model.encode_text(padded, present))

    def _pad(self, ids: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the library's ids, padded as it pads them, and where the tokens are."""
        lengths = np.count_nonzero(ids, axis=1)
        width = self._width or int(lengths.max(initial=1))
        position = np.arange(width)
        starts = (width - lengths if self._tokenizer.pads_left else 0 * lengths)[:, None]
        present = (position >= starts) & (position < starts + lengths[:, None])
        padded = np.full((len(ids), width), self._tokenizer.pad_id, np.int64)
        padded[present] = ids[ids > 0] - 1
        mask = torch.from_numpy(present.astype(np.int64))
        return torch.from_numpy(padded).to(self._device), mask.to(self._device)


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
