"""Substitutes for a GPU in tests: repeated work for recordings, and a record of devices."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class RepeatedWork:
    """A recorded pass that calls its work again, on the same memory."""

    work: Callable[[], None]
    replays: int = 0

    def __call__(self) -> None:
        self.replays += 1
        self.work()


class DeviceLog(TorchDispatchMode):
    """Notes the devices of the tensors that operations take and return."""

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
        result = operation(*args, **(kwargs or {}))
        leaves = tree_leaves((args, result))
        self.seen |= {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)}
        return result
