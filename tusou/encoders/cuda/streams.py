"""CUDA streams and page-locked buffers, and a loop that overlaps passes on them.

On a CPU the same code runs in order: torch's CPU streams and events do nothing.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor


class Slot(Protocol):
    """The host buffers of one pass; `done` is recorded after the last copy of the pass."""

    done: Any  # torch.cuda.Event, or torch.cpu.Event


S = TypeVar("S", bound=Slot)
P = TypeVar("P")


def overlap(
    slots: Sequence[S], passes: Iterable[P], start: Callable[[S, P], None]
) -> Iterator[tuple[S, P]]:
    """Start each pass in the next slot in turn; yield the passes in order, once computed.

    A pass is yielded when its copies have ended. A slot is reused only when the copies of its
    previous pass have ended, also those of a pass that failed half-way in an earlier call.
    """
    running: deque[tuple[S, P]] = deque()

    def wait_for_first() -> tuple[S, P]:
        slot, first = running.popleft()
        slot.done.synchronize()
        return slot, first

    for slot, current in zip(cycle(slots), passes, strict=False):
        if len(running) == len(slots):
            yield wait_for_first()
        slot.done.synchronize()
        start(slot, current)
        running.append((slot, current))
    while running:
        yield wait_for_first()


def host_buffer(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros on the host, page-locked if a GPU copies from them or to them."""
    return torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")


def current_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU this thread's current device, on which streams and events are created."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


_IN_USE: WeakValueDictionary[int, Any] = WeakValueDictionary()
_IN_USE_LOCK = threading.Lock()


def exclusive_stream(device: torch.device) -> Any:
    """Return a torch.cuda.Stream that no other live result of this function shares.

    torch hands out 32 streams of a GPU in turn. A copy on a stream that another thread is
    capturing would become part of the graph.
    """
    if device.type == "cpu":
        return torch.cpu.Stream()
    with _IN_USE_LOCK, current_device(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        while stream.cuda_stream in _IN_USE:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        _IN_USE[stream.cuda_stream] = stream
    return stream
