"""Text passes of a few fixed shapes, captured once as CUDA graphs and replayed."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tusou.core.arrays import Ids, Vectors
from tusou.encoders.cuda.streams import current_device, host_buffer, overlap

# Texts are padded to one of these below the model's context, or to that. GPUs read attention masks
# 8 numbers at a time.
_LENGTHS = (8, 16, 24, 32, 52, 80, 128, 256)
# A pass of this many tokens fills a large device; all graphs share the memory of the largest.
_MAX_TOKENS, _MAX_TEXTS = 4096, 256
# Passes under way: one is computed, the next is ready to follow, the host fills and reads others.
_SLOTS = 4

_ANY_TOKEN = 1  # any token but padding (0)
_MIN_COSINE = 0.999  # half precision differs less; a wrong vector differs by far more
_COMPARED = 8  # texts compared for each graph


# Runs work at least once, and returns a function that runs it again on the same memory, after all
# earlier work.
Record = Callable[[Callable[[], None]], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class GraphShape:
    """The texts of one graph, and the tokens that each is padded to."""

    texts: int
    length: int

    @property
    def tokens(self) -> int:
        return self.texts * self.length


class TextGraphs:
    """Token ids to unit rows: one copy in, one replay and one copy out per pass.

    All graphs read ids from one buffer on the device and write vectors to another. Copies and
    replays are queued in order, so that several passes can be under way: the next replay overwrites
    the vectors only once they are copied. Rows and tokens that pad a pass to its shape are computed
    and never read. Thread-safe; calls run one at a time.

    `forward` maps (texts, length) ids on the device, below `vocab_size`, to unit rows. Texts have
    at most `context` tokens. Raises RuntimeError when it cannot be recorded.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        dim: int,
        device: torch.device,
        record: Record,
        *,
        context: int,
        vocab_size: int,
    ) -> None:
        self._forward, self._dim, self._device = forward, dim, device
        self._context, self._vocab_size = context, vocab_size
        self._lock = threading.Lock()
        self._ids = torch.full((_MAX_TOKENS,), _ANY_TOKEN, device=device)
        self._vectors = torch.empty((_MAX_TEXTS, dim), device=device)
        with current_device(device), torch.inference_mode():
            self._slots = [_TextSlot(dim, device) for _ in range(_SLOTS)]
            shapes = graph_shapes(context)
            self._replays = {shape: record(partial(self._work, shape)) for shape in shapes}

    def encode(self, ids: npt.NDArray[np.int64]) -> Vectors:
        """Return one unit row per row of ids, which are padded with 0 as `Tokens` are."""
        vectors = np.empty((len(ids), self._dim), np.float32)

        def start(slot: "_TextSlot", planned: tuple[Ids, GraphShape]) -> None:
            rows, shape = planned
            count, width = len(rows), min(ids.shape[1], shape.length)
            padded = slot.ids[: shape.tokens].reshape(shape.texts, shape.length)
            padded[:count, :width] = ids[rows, :width]
            padded[:count, width:] = 0
            padded[count:] = _ANY_TOKEN  # a row of padding alone would give NaN
            self._ids[: shape.tokens].copy_(slot.host_ids[: shape.tokens], non_blocking=True)
            self._replays[shape]()
            slot.host_vectors[:count].copy_(self._vectors[:count], non_blocking=True)
            slot.done.record()

        with self._lock, current_device(self._device), torch.inference_mode():
            passes = plan_passes(_lengths(ids), self._context)
            for slot, (rows, _) in overlap(self._slots, passes, start):
                vectors[rows] = slot.vectors[: len(rows)]
        return vectors

    def check(self, encode: Callable[[npt.NDArray[np.int64]], Vectors]) -> None:
        """Raise RuntimeError unless every graph gives the vectors that `encode` gives."""
        for shape in self._replays:
            ids = _sample(shape, self._vocab_size)
            rows = slice(None, None, ceil(shape.texts / _COMPARED))
            cosines = np.einsum("nd,nd->n", self.encode(ids)[rows], encode(ids[rows]))
            if not cosines.min() >= _MIN_COSINE:
                raise RuntimeError(f"{shape} gives other vectors (cosine {cosines.min():.4f})")

    def _work(self, shape: GraphShape) -> None:
        """Encode one shape, from and to the buffers that all graphs share."""
        ids = self._ids[: shape.tokens].view(shape.texts, shape.length)
        self._vectors[: shape.texts].copy_(self._forward(ids))


class _TextSlot:
    """The token ids and vectors of one pass on the host."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self.host_ids = host_buffer((_MAX_TOKENS,), torch.int64, device)
        self.host_vectors = host_buffer((_MAX_TEXTS, dim), torch.float32, device)
        self.ids, self.vectors = self.host_ids.numpy(), self.host_vectors.numpy()
        self.done = torch.get_device_module(device).Event()


def _padded_lengths(context: int) -> tuple[int, ...]:
    return (*(length for length in _LENGTHS if length < context), context)


def graph_shapes(context: int) -> list[GraphShape]:
    """Return every shape that is recorded, the largest first: the others reuse its memory."""
    counts = [2**power for power in range(_MAX_TEXTS.bit_length())]
    lengths = _padded_lengths(context)
    shapes = (GraphShape(texts, length) for length in lengths for texts in counts)
    return sorted(
        (shape for shape in shapes if shape.tokens <= _MAX_TOKENS),
        key=lambda shape: shape.tokens,
        reverse=True,
    )


def plan_passes(lengths: Ids, context: int) -> Iterator[tuple[Ids, GraphShape]]:
    """Divide texts of these lengths into passes, the longest first: rows, and their shape."""
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        longest = lengths[order[0]]
        length = next(padded for padded in _padded_lengths(context) if padded >= longest)
        max_texts = min(_MAX_TEXTS, 1 << ((_MAX_TOKENS // length).bit_length() - 1))
        rows, order = order[:max_texts], order[max_texts:]
        yield rows, GraphShape(1 << (len(rows) - 1).bit_length(), length)


def _lengths(ids: npt.NDArray[np.int64]) -> Ids:
    """Count each row's tokens up to the last that is not padding."""
    lengths: Ids = ((ids != 0) * np.arange(1, ids.shape[1] + 1)).max(axis=1, initial=1)
    return lengths


def _sample(shape: GraphShape, vocab_size: int) -> npt.NDArray[np.int64]:
    """Draw texts that need this very shape: the first as long as it allows, the others shorter."""
    lengths = np.linspace(shape.length, 2, shape.texts).astype(np.int64)
    low, high = (100, 1000) if vocab_size > 1000 else (1, vocab_size)
    shape_of_ids = shape.texts, shape.length
    tokens = np.random.default_rng(shape.tokens).integers(low, high, shape_of_ids)
    return np.where(np.arange(shape.length) < lengths[:, None], tokens, 0)
