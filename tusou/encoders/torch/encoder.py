"""The encoders in torch: the reference, and what computes on GPUs."""

import logging
from collections.abc import Callable, Mapping, Sequence
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
from tusou.encoders.checkpoint import TensorReader, read_tensors
from tusou.encoders.cuda.image_transfer import ImageUploads
from tusou.encoders.cuda.text_graphs import Record, TextGraphs
from tusou.encoders.packing import FEWEST_TOKENS, PASS_TOKENS, USUAL_TOKENS, cut
from tusou.encoders.pixels import MEAN, STD
from tusou.encoders.select_backend import ResolvedEncoder
from tusou.encoders.tokenizer import ClipTokenizer, check_tokens_fit
from tusou.encoders.torch.cpu_threads import Lanes, on_one_core
from tusou.encoders.torch.layers import avoid_cudnn_attention
from tusou.encoders.torch.towers import ImageTower, TextTower, pack_padded, pack_texts

# What one pass computes: enough to fill its core or device, little enough to stay in its cache.
_PASS_TOKENS = {"cpu": PASS_TOKENS, "cuda": 16_384}
_PASS_IMAGES = {"cpu": 4, "cuda": 128}

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_RESNET = LazyImport("tusou.encoders.torch.resnet:ResNetTower")  # imports torchvision

_log = logging.getLogger(__name__)


class ClipTextEncoder:
    """The text tower of a checkpoint; the image tower costs neither time nor memory."""

    backend = "torch"

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self._device, self.precision = torch.device(resolved.device), resolved.precision
        avoid_cudnn_attention(self._device)
        shape = resolved.shape
        assert isinstance(shape, TextShape)
        self._tokenizer = ClipTokenizer()
        check_tokens_fit(shape, self._tokenizer.vocab_size)
        tensors = read_tensors(resolved.weights.path)
        reader = TensorReader(tensors, ("bert.", "text_projection"), self._device)
        with on_one_core():
            self._tower = TextTower(reader, shape, _DTYPES[self.precision])
        self._lanes = Lanes(self._device, heavy=shape.heavy)
        self.dim = shape.embed_dim
        if self.precision != "fp32":
            # Single precision shows in its last digits how many cores summed, and the bytes of a
            # bundle must not depend on the clock; lower ones have been seen to round it away.
            usual = self.prepare(["红色碎花裙子"]).ids
            self._lanes.settle(lambda: self._one_pass(usual))
        self._graphs: TextGraphs | None = None

    def warm_up(self) -> None:
        """Record a GPU's passes; on a processor compile what a query alone needs."""
        if self._device.type == "cpu":
            for tokens in USUAL_TOKENS:
                self._encode(np.ones((1, tokens), np.int64))
        elif not self.recorded:
            from tusou.encoders.cuda.graph_capture import CudaRecorder  # noqa: PLC0415 - CUDA alone

            self.record(CudaRecorder(self._device))

    @property
    def recorded(self) -> bool:
        """Tell whether texts are encoded by recorded passes."""
        return self._graphs is not None

    @property
    def passes(self) -> TextGraphs | None:
        """Give the recorded passes: a search on the device can follow them."""
        return self._graphs

    def record(self, record: Record) -> None:
        """Encode by recorded passes from now on, if they can be recorded and give the vectors."""
        try:
            graphs = TextGraphs(self._padded_pass, self.dim, self._device, record)
            graphs.check(self._encode)
        except RuntimeError as error:
            _log.warning("texts are encoded without CUDA graphs, and slower: %s", error)
            return
        self._graphs = graphs

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        return self._tokenizer.prepare(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in recorded passes, or in passes of texts of like length without padding."""
        return self._graphs.encode(tokens.ids) if self._graphs else self._encode(tokens.ids)

    def _encode(self, ids: npt.NDArray[np.int64]) -> Vectors:
        vectors = np.empty((len(ids), self.dim), dtype=np.float32)

        def one_pass(rows: Ids) -> None:
            vectors[rows] = self._one_pass(ids[rows])

        lengths = np.count_nonzero(ids, axis=1)
        passes = cut(lengths, _PASS_TOKENS[self._device.type], self._lanes.count)
        self._lanes.run(one_pass, passes, short=lengths.sum() < FEWEST_TOKENS)
        return vectors

    @torch.inference_mode()
    def _one_pass(self, ids: npt.NDArray[np.int64]) -> Vectors:
        vectors: Vectors = normalize(self._tower(pack_texts(ids, self._device))).cpu().numpy()
        return vectors

    def _padded_pass(self, ids: Tensor) -> Tensor:
        return normalize(self._tower(pack_padded(ids)))


class ClipImageEncoder:
    """The image tower of a checkpoint; the text tower costs neither time nor memory."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        self._device, self.precision = torch.device(resolved.device), resolved.precision
        avoid_cudnn_attention(self._device)
        shape = resolved.shape
        assert isinstance(shape, ImageShape)
        tensors = read_tensors(resolved.weights.path)
        with on_one_core():
            self._tower = _image_tower(tensors, shape, self._device, _DTYPES[self.precision])
        self._lanes = Lanes(self._device, heavy=shape.heavy)
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution
        self._uploads = None
        if self._device.type == "cuda":
            self._uploads = ImageUploads(
                self._one_pass, self.dim, self.image_size, _PASS_IMAGES["cuda"], self._device
            )

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode squares made by `tusou.images.preprocess.to_pixels`."""
        if self._uploads:
            return self._uploads.encode(pixels)
        vectors = np.empty((len(pixels), self.dim), dtype=np.float32)

        @torch.inference_mode()
        def one_pass(rows: slice) -> None:
            vectors[rows] = self._one_pass(torch.from_numpy(pixels[rows])).numpy()

        share = ceil(len(pixels) / self._lanes.count)
        size = max(1, min(share, _PASS_IMAGES["cpu"]))
        self._lanes.run(one_pass, [slice(i, i + size) for i in range(0, len(pixels), size)])
        return vectors

    def _one_pass(self, pixels: Tensor) -> Tensor:
        return normalize(self._tower(to_input(pixels)))


def to_input(pixels: Tensor) -> Tensor:
    """Turn (n, size, size, 3) uint8 into normalised (n, 3, size, size) float32.

    Bit for bit what torchvision's ToTensor and Normalize make, on whichever device the pixels are.
    """
    mean, std = _statistics(pixels.device)
    return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Give a mean and a deviation a channel; a copy to a GPU each time would wait for its work."""
    with torch.inference_mode(mode=False):  # whoever asks first, training may use them later
        mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, STD))
    return mean, std


def _image_tower(
    tensors: Mapping[str, Tensor], shape: ImageShape, device: torch.device, precision: torch.dtype
) -> Callable[[Tensor], Tensor]:
    if isinstance(shape.vision_layers, int):
        return ImageTower(TensorReader(tensors, ("visual.",), device), shape, precision)
    resnet = cast("Callable[..., Callable[[Tensor], Tensor]]", _RESNET.load())
    return resnet(tensors, shape, device, precision)
