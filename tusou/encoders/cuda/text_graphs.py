"""Texts in passes of a few fixed shapes, which a GPU has recorded once and replays."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tusou.core.arrays import Ids, Vectors
from tusou.encoders.base import Followed
from tusou.encoders.cuda.streams import current, host_room, overlap, timed_event
from tusou.encoders.tokenizer import CONTEXT

# What texts are padded to. GPUs read masks 8 numbers at a time.
_LENGTHS = (8, 16, 24, 32, CONTEXT)
# A pass of this many tokens fills a large device; the memory of the largest is shared by all.
_MOST_TOKENS, _MOST_TEXTS = 4096, 256
# Passes under way: one is computed, one follows without a gap, and the host is busy with others.
_SLOTS = 4
# Numbers of 4 bytes that can come back beside a text's vector: 128 neighbours, of 3 each.
_ROOM = 3 * 128

_ANY_TOKEN = 1  # anything but padding (0)
_SAME = 0.999  # cosine; half precision differs less, and a wrong vector far more
_COMPARED = 8  # texts of a recording


class Recorded(Protocol):
    """A recorded pass; torch.cuda.CUDAGraph is one."""

    def replay(self) -> None:
        """Do again what was recorded, on the same memory, behind what was asked for before."""
        ...


Columns = npt.NDArray[np.int32]  # (n, columns): what comes back, as the bits that it is

# Runs work once or more, and records it.
Record = Callable[[Callable[[], None]], Recorded]


@dataclass(frozen=True, slots=True)
class GraphShape:
    """What one recording computes."""

    texts: int
    length: int

    @property
    def tokens(self) -> int:
        """Count them, padding included."""
        return self.texts * self.length


class TextGraphs:
    """Token ids to unit rows: in by one copy a pass, a replay, and out by one copy.

    Recordings read ids from one place in the device's memory and leave vectors in another, so
    copies and replays go to the device in order, and several passes can be under way. What is to
    follow a pass stands between its replay and the copy out, in the same order: the next replay
    overwrites the vectors only when that has been done. Rows and tokens that fill a shape up are
    computed and never read. Any number of callers, one at a time.

    `forward` makes unit rows of (texts, length) ids on the device. Raises RuntimeError when it
    cannot be recorded.
    """

    def __init__(
        self, forward: Callable[[Tensor], Tensor], dim: int, device: torch.device, record: Record
    ) -> None:
        self._forward, self._dim, self._device = forward, dim, device
        self.room, self._lock = _ROOM, threading.Lock()
        self._ids = torch.full((_MOST_TOKENS,), _ANY_TOKEN, device=device)
        self._vectors = torch.empty((_MOST_TEXTS, dim), device=device)
        with current(device), torch.inference_mode():
            self._slots = [_Slot(dim, device) for _ in range(_SLOTS)]
            self._passes = {shape: record(partial(self._work, shape)) for shape in shapes()}

    @property
    def device(self) -> str:
        """Name the device by its number, as its tensors do."""
        return str(self._vectors.device)

    def encode(self, ids: npt.NDArray[np.int64]) -> Vectors:
        """Return one unit row per row of ids, padded with 0 as `Tokens` are."""
        return self._bring(ids, _bits, self._dim)[0].view(np.float32)

    def encode_and(
        self, ids: npt.NDArray[np.int64], work: Callable[[Tensor], Tensor], columns: int
    ) -> Followed:
        """Bring back the rows, and beside them what `work` makes of them on the device."""

        def both(vectors: Tensor) -> Tensor:
            return torch.cat([_bits(vectors), work(vectors)], 1)

        rows, seconds = self._bring(ids, both, self._dim + columns)
        vectors = np.ascontiguousarray(rows[:, : self._dim]).view(np.float32)
        return Followed(vectors, rows[:, self._dim :], seconds)

    def check(self, encode: Callable[[npt.NDArray[np.int64]], Vectors]) -> None:
        """Raise RuntimeError unless every recording gives the vectors that `encode` gives."""
        for shape in self._passes:
            ids = _sample(shape)
            some = slice(None, None, ceil(shape.texts / _COMPARED))
            cosines = np.einsum("nd,nd->n", self.encode(ids)[some], encode(ids[some]))
            if not cosines.min() >= _SAME:
                raise RuntimeError(f"{shape} gives other vectors (cosine {cosines.min():.4f})")

    def _bring(
        self, ids: npt.NDArray[np.int64], work: Callable[[Tensor], Tensor], columns: int
    ) -> tuple[Columns, float]:
        """Return what `work` makes of each pass's vectors, and the seconds behind the passes."""
        found = np.empty((len(ids), columns), np.int32)
        seconds = 0.0

        def start(slot: "_Slot", one: tuple[Ids, GraphShape]) -> None:
            self._start(slot, ids[one[0]], one[1])
            slot.take(work(self._vectors[: len(one[0])]))

        def finish(slot: "_Slot", one: tuple[Ids, GraphShape]) -> None:
            nonlocal seconds
            found[one[0]] = slot.rows[: len(one[0]) * columns].reshape(-1, columns)
            seconds += slot.encoded.elapsed_time(slot.done) / 1000

        with self._lock, current(self._device), torch.inference_mode():
            overlap(self._slots, cut(_lengths(ids)), start, finish)
        return found, seconds

    def _work(self, shape: GraphShape) -> None:
        """Compute one shape, from and to the places that recordings share."""
        ids = self._ids[: shape.tokens].view(shape.texts, shape.length)
        self._vectors[: shape.texts].copy_(self._forward(ids))

    def _start(self, slot: "_Slot", ids: npt.NDArray[np.int64], shape: GraphShape) -> None:
        room = slot.ids[: shape.tokens].reshape(shape.texts, shape.length)
        width = min(ids.shape[1], shape.length)
        room[: len(ids), :width] = ids[:, :width]
        room[: len(ids), width:] = 0
        room[len(ids) :] = _ANY_TOKEN  # attention to no token at all would be not a number
        self._ids[: shape.tokens].copy_(slot.ids_there[: shape.tokens], non_blocking=True)
        self._passes[shape].replay()
        slot.encoded.record()
        slot.done.record()  # should what follows fail, the copy in is waited for all the same


class _Slot:
    """The host's side of one pass."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self.ids_there = host_room((_MOST_TOKENS,), torch.int64, device)
        self.rows_there = host_room((_MOST_TEXTS * (dim + _ROOM),), torch.int32, device)
        self.ids, self.rows = self.ids_there.numpy(), self.rows_there.numpy()
        self.encoded, self.done = timed_event(device), timed_event(device)

    def take(self, found: Tensor) -> None:
        """Ask for the copy back, the last of the pass."""
        self.rows_there[: found.numel()].view_as(found).copy_(found, non_blocking=True)
        self.done.record()


def shapes() -> list[GraphShape]:
    """List what is recorded, the largest first: the others then fit into its memory."""
    counts = [2**power for power in range(_MOST_TEXTS.bit_length())]
    every = (GraphShape(texts, length) for length in _LENGTHS for texts in counts)
    fitting = (shape for shape in every if shape.tokens <= _MOST_TOKENS)
    return sorted(fitting, key=lambda shape: shape.tokens, reverse=True)


def cut(lengths: Ids) -> Iterator[tuple[Ids, GraphShape]]:
    """Cut texts of these lengths into passes, the longest first: rows, and their shape."""
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        length = next(one for one in _LENGTHS if one >= lengths[order[0]])
        most = min(_MOST_TEXTS, 1 << ((_MOST_TOKENS // length).bit_length() - 1))
        rows, order = order[:most], order[most:]
        yield rows, GraphShape(1 << (len(rows) - 1).bit_length(), length)


def _bits(rows: Tensor) -> Tensor:
    return rows.view(torch.int32)


def _lengths(ids: npt.NDArray[np.int64]) -> Ids:
    """Count each row's tokens up to its last that is not padding."""
    lengths: Ids = ((ids != 0) * np.arange(1, ids.shape[1] + 1)).max(axis=1, initial=1)
    return lengths


def _sample(shape: GraphShape) -> npt.NDArray[np.int64]:
    """Make texts that need this very shape: the first as long as it takes, the others shorter."""
    lengths = np.linspace(shape.length, 2, shape.texts).astype(np.int64)
    tokens = np.random.default_rng(shape.tokens).integers(100, 1000, (shape.texts, shape.length))
    return np.where(np.arange(shape.length) < lengths[:, None], tokens, 0)
