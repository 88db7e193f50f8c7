"""Passes that overlap on a GPU: the host fills and empties some while another is computed.

On a CPU the same code runs in order; its streams and events are torch's, which do nothing.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle
from time import perf_counter
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor


class Slot(Protocol):
    """Room for one pass on the host; `done` is recorded behind the last copy of the pass."""

    done: Any  # torch.cuda.Event or what stands in for it


S = TypeVar("S", bound=Slot)
P = TypeVar("P")


def overlap(
    slots: Sequence[S],
    passes: Iterable[P],
    start: Callable[[S, P], None],
    finish: Callable[[S, P], None],
) -> None:
    """Start pass after pass, each in the slot that was free first, and finish them in order.

    `finish` is called when the pass's copies have ended; so is `start` for those of the pass
    before in its slot, even if that one failed half-way in an earlier call.
    """
    running: deque[tuple[S, P]] = deque()

    def finish_first() -> None:
        slot, one = running.popleft()
        slot.done.synchronize()
        finish(slot, one)

    for slot, one in zip(cycle(slots), passes, strict=False):
        if len(running) == len(slots):
            finish_first()
        slot.done.synchronize()
        start(slot, one)
        running.append((slot, one))
    while running:
        finish_first()


def host_room(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Make a zeroed tensor on the host: page-locked if a GPU is to copy from it or to it."""
    return torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one of this thread; streams and events are made on that."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


class _Instant:
    """A timed event on a CPU, where what was asked for is done; torch.cpu.Event knows no time."""

    def __init__(self) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = perf_counter()

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: "_Instant") -> float:
        return 1000 * (end.at - self.at)


def timed_event(device: torch.device) -> Any:
    """Make an event (torch.cuda.Event) that tells how many milliseconds another came after it."""
    return torch.cuda.Event(enable_timing=True) if device.type == "cuda" else _Instant()  # type: ignore[no-untyped-call]


_OWNED: WeakValueDictionary[int, Any] = WeakValueDictionary()
_OWNING = threading.Lock()


def own_stream(device: torch.device) -> Any:
    """Take a stream (torch.cuda.Stream) that nobody else has who took one here and holds it.

    torch has 32 for a GPU and hands them out in turn. A copy on a stream that another thread
    records on would become part of the recording.
    """
    if device.type == "cpu":
        return torch.cpu.Stream()
    with _OWNING, current(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        while stream.cuda_stream in _OWNED:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        _OWNED[stream.cuda_stream] = stream
    return stream
