"""Order of overlapping passes, and exclusive use of torch's streams."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import cycle

import pytest
import torch

from tusou.encoders.cuda.streams import exclusive_stream, overlap

CUDA = torch.device("cuda")


@dataclass
class LoggedSlot:
    """A slot that is also its event, and notes when it is waited for."""

    name: str
    notes: list[str]
    done: "LoggedSlot" = field(init=False)

    def __post_init__(self) -> None:
        self.done = self

    def synchronize(self) -> None:
        self.notes.append(f"wait {self.name}")


def test_a_slot_is_waited_for_before_it_is_read_or_filled() -> None:
    notes: list[str] = []
    slots = [LoggedSlot("a", notes), LoggedSlot("b", notes)]

    def start(slot: LoggedSlot, number: int) -> None:
        notes.append(f"start {number} in {slot.name}")

    for slot, number in overlap(slots, [1, 2, 3], start):
        notes.append(f"finish {number} in {slot.name}")
    assert notes == [
        "wait a",
        "start 1 in a",
        "wait b",
        "start 2 in b",
        "wait a",
        "finish 1 in a",
        "wait a",
        "start 3 in a",
        "wait b",
        "finish 2 in b",
        "wait a",
        "finish 3 in a",
    ]


@dataclass(eq=False)
class FakeStream:
    """A CUDA stream with a handle alone."""

    cuda_stream: int


def test_a_stream_is_reused_once_its_owner_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handles = cycle([1, 2, 3])
    monkeypatch.setattr(torch.cuda, "Stream", lambda: FakeStream(next(handles)))
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    first, second = exclusive_stream(CUDA), exclusive_stream(CUDA)
    assert (first.cuda_stream, second.cuda_stream) == (1, 2)
    for _ in range(4):  # as reloads do, while the first stays in use
        second = exclusive_stream(CUDA)
        assert second.cuda_stream != 1
    del first
    assert {exclusive_stream(CUDA).cuda_stream for _ in range(4)} == {1, 2, 3} - {
        second.cuda_stream
    }
