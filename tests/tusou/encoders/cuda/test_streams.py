"""Passes overlap in order, and no two that live have the same of torch's few streams."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import cycle

import pytest
import torch

from tusou.encoders.cuda.streams import exclusive_stream, overlap

CUDA = torch.device("cuda")


@dataclass
class Step:
    """A slot that notes what it is waited for; as an event, too."""

    name: str
    notes: list[str]
    done: "Step" = field(init=False)

    def __post_init__(self) -> None:
        self.done = self

    def synchronize(self) -> None:
        self.notes.append(f"wait {self.name}")


def test_a_slot_is_waited_for_before_it_is_read_and_before_it_is_filled() -> None:
    notes: list[str] = []
    slots = [Step("a", notes), Step("b", notes)]
    overlap(
        slots,
        [1, 2, 3],
        lambda slot, one: notes.append(f"start {one} in {slot.name}"),
        lambda slot, one: notes.append(f"finish {one} in {slot.name}"),
    )
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
class Stream:
    """A stream as torch hands it out."""

    cuda_stream: int


def test_a_stream_is_handed_out_again_once_its_owner_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed_out = cycle([1, 2, 3])
    monkeypatch.setattr(torch.cuda, "Stream", lambda: Stream(next(handed_out)))
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    first, second = exclusive_stream(CUDA), exclusive_stream(CUDA)
    assert (first.cuda_stream, second.cuda_stream) == (1, 2)
    for _ in range(4):  # reloads beside the first, which stays
        second = exclusive_stream(CUDA)
        assert second.cuda_stream != 1
    del first
    assert {exclusive_stream(CUDA).cuda_stream for _ in range(4)} == {1, 2, 3} - {
        second.cuda_stream
    }
