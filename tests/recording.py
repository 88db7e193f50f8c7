"""Stands in for a GPU: recordings that are the work done again, and where tensors are."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Again:
    """A recording that does the work again, on the same memory."""

    work: Callable[[], None]
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        self.work()


class Devices(TorchDispatchMode):
    """Notes where the tensors are that operations take and give."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self,
        operation: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        found = operation(*args, **(kwargs or {}))
        tensors = (one for one in tree_leaves((args, found)) if isinstance(one, torch.Tensor))
        self.seen |= {one.device.type for one in tensors}
        return found
