"""Text and image encoders in torch: the reference implementation, and the one for GPUs."""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from math import ceil
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tusou.core.arrays import Ids, Pixels, Vectors
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import ImageShape, TextShape
from tusou.encoders.base import Tokens
from tusou.encoders.checkpoint import TensorReader, read_weights
from tusou.encoders.cuda.image_transfer import ImageTransfer
from tusou.encoders.cuda.text_graphs import Record, TextGraphs
from tusou.encoders.packing import MIN_PASS_TOKENS, PASS_TOKENS, USUAL_TOKENS, split_batch
from tusou.encoders.select_backend import ResolvedEncoder
from tusou.encoders.torch.cpu_threads import CpuThreads, on_one_core
from tusou.encoders.torch.layers import avoid_cudnn_attention
from tusou.encoders.torch.towers import ImageTower, TextTower, pack_padded, pack_texts
from tusou.images.preprocess import MEAN, STD, Channels

# Tokens or images of a pass: enough to fill a core or a GPU, few enough to stay in its cache.
_PASS_TOKENS = {"cpu": PASS_TOKENS, "cuda": 16_384}
_PASS_IMAGES = {"cpu": 4, "cuda": 128}

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_RESNET = LazyImport("tusou.encoders.torch.resnet:ResNetTower")  # imports torchvision

_log = logging.getLogger(__name__)


class ClipTextEncoder:
    """The text tower of a checkpoint; the image tower is not loaded."""

    backend = "torch"

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self._device, self.precision = torch.device(resolved.device), resolved.precision
        avoid_cudnn_attention(self._device)
        shape = resolved.shape
        assert isinstance(shape, TextShape)
        self._tokenizer = resolved.open_tokenizer()
        tensors = read_weights(resolved.weights)
        reader = TensorReader(tensors, "text", self._device)
        with on_one_core():
            self._tower = TextTower(reader, shape, _DTYPES[self.precision])
        self._threads = CpuThreads(self._device, heavy=shape.heavy)
        self.dim = shape.embed_dim
        if self.precision != "fp32":
            # The last digits of fp32 depend on how many cores summed, and the bytes of a bundle
            # must not depend on timing. Lower precisions have been seen to round that away.
            usual = self.prepare(["红色碎花裙子"]).ids
            self._threads.calibrate(lambda: self._run_pass(usual))
        self._graphs: TextGraphs | None = None

    def warm_up(self) -> None:
        """Record CUDA graphs on a GPU; on a processor compile the kernels of single queries."""
        if self._device.type == "cpu":
            for tokens in USUAL_TOKENS:
                self._encode(np.ones((1, tokens), np.int64))
        elif not self.recorded:
            from tusou.encoders.cuda.graph_capture import CudaRecorder  # noqa: PLC0415 - CUDA only

            self.record(CudaRecorder(self._device))

    @property
    def recorded(self) -> bool:
        return self._graphs is not None

    def record(self, record: Record) -> None:
        """Use recorded passes from now on, if recording works and gives the same vectors."""
        try:
            graphs = TextGraphs(
                self._padded_pass,
                self.dim,
                self._device,
                record,
                context=self._tokenizer.context,
                vocab_size=self._tokenizer.vocab_size,
            )
            graphs.check(self._encode)
        except RuntimeError as error:
            _log.warning("texts are encoded without CUDA graphs, which is slower: %s", error)
            return
        self._graphs = graphs

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer.prepare(texts)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return self._tokenizer.unknown_share(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode by recorded passes, or in packed passes of texts of similar length."""
        return self._graphs.encode(tokens.ids) if self._graphs else self._encode(tokens.ids)

    def _encode(self, ids: npt.NDArray[np.int64]) -> Vectors:
        vectors = np.empty((len(ids), self.dim), dtype=np.float32)

        def run_pass(rows: Ids) -> None:
            vectors[rows] = self._run_pass(ids[rows])

        lengths = np.count_nonzero(ids, axis=1)
        passes = split_batch(lengths, _PASS_TOKENS[self._device.type], self._threads.count)
        self._threads.run(run_pass, passes, short=lengths.sum() < MIN_PASS_TOKENS)
        return vectors

    @torch.inference_mode()
    def _run_pass(self, ids: npt.NDArray[np.int64]) -> Vectors:
        vectors: Vectors = normalize(self._tower(pack_texts(ids, self._device))).cpu().numpy()
        return vectors

    def _padded_pass(self, ids: Tensor) -> Tensor:
        return normalize(self._tower(pack_padded(ids)))


class ClipImageEncoder:
    """The image tower of a checkpoint; the text tower is not loaded."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self._device, self.precision = torch.device(resolved.device), resolved.precision
        avoid_cudnn_attention(self._device)
        shape = resolved.shape
        assert isinstance(shape, ImageShape)
        tensors = read_weights(resolved.weights)
        dtype = _DTYPES[self.precision]
        self._tower: Callable[[Tensor], Tensor]
        with on_one_core():
            if shape.is_transformer:
                self._tower = ImageTower(TensorReader(tensors, "image", self._device), shape, dtype)
            else:
                resnet = cast("Callable[..., Callable[[Tensor], Tensor]]", _RESNET.load())
                self._tower = resnet(tensors, shape, self._device, dtype)
        self._threads = CpuThreads(self._device, heavy=shape.heavy)
        self.dim, self.transform = shape.embed_dim, resolved.transform
        self._mean, self._std = resolved.mean, resolved.std
        self._transfer = None
        if self._device.type == "cuda":
            self._transfer = ImageTransfer(
                self._run_pass, self.dim, self.transform.side, _PASS_IMAGES["cuda"], self._device
            )

    def encode(self, pixels: Pixels) -> Vectors:
        if self._transfer:
            return self._transfer.encode(pixels)
        vectors = np.empty((len(pixels), self.dim), dtype=np.float32)

        @torch.inference_mode()
        def run_pass(rows: slice) -> None:
            vectors[rows] = self._run_pass(torch.from_numpy(pixels[rows])).numpy()

        share = ceil(len(pixels) / self._threads.count)
        size = max(1, min(share, _PASS_IMAGES["cpu"]))
        self._threads.run(run_pass, [slice(i, i + size) for i in range(0, len(pixels), size)])
        return vectors

    def _run_pass(self, pixels: Tensor) -> Tensor:
        return normalize(self._tower(to_input(pixels, self._mean, self._std)))


def to_input(pixels: Tensor, mean: Channels = MEAN, std: Channels = STD) -> Tensor:
    """Convert (n, size, size, 3) uint8 to normalised (n, 3, size, size) float32.

    The result equals that of torchvision's ToTensor and Normalize bit for bit, on any device.
    """
    means, deviations = _on_device(pixels.device, mean, std)
    return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(means).div_(deviations)


@cache
def _on_device(device: torch.device, mean: Channels, std: Channels) -> tuple[Tensor, Tensor]:
    """Return (3, 1, 1) tensors; copying them to a GPU each time would wait for its queue."""
    with torch.inference_mode(mode=False):  # training may use the cached tensors later
        means, deviations = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std)
        )
    return means, deviations
