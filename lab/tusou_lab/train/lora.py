"""Low-rank adapters (LoRA) of linear layers, and how they are merged into the weights."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tusou.core.errors import InvalidRequest

_ATTENTION = re.compile("att(entio)?n|mixer", re.IGNORECASE)  # names of attention's submodules
# Their forward pass reads the weights of their submodules, which are never called themselves.
_READS_WEIGHTS = ("MultiheadAttention", "AttentionPool2d")


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The size of the adapters, and which layers get one."""

    rank: int
    alpha: float  # the product is scaled by alpha / rank
    target: str  # attention, or all


class LowRankPair(nn.Module):
    """The product of two narrow matrices, which is added to a weight; zero at the beginning."""

    def __init__(self, weight: nn.Parameter, blocks: int, settings: LoraSettings) -> None:
        """Take the weight (out, in), which may stack several blocks of rows."""
        super().__init__()
        rows, width = weight.shape
        down = [torch.empty(settings.rank, width) for _ in range(blocks)]
        for block in down:
            nn.init.kaiming_uniform_(block, a=sqrt(5))  # as nn.Linear
        self.down = nn.Parameter(torch.stack(down))
        self.up = nn.Parameter(torch.zeros(blocks, rows // blocks, settings.rank))
        self._scale = settings.alpha / settings.rank

    def delta(self) -> Tensor:
        """Return what is added to the weight, (out, in)."""
        return self._scale * (self.up @ self.down).flatten(0, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what is added to the output of a layer with one block, without the product."""
        return self._scale * linear(linear(inputs, self.down[0]), self.up[0])


@dataclass(frozen=True, slots=True)
class _Target:
    """A weight that gets an adapter."""

    name: str
    owner: nn.Module
    attribute: str
    blocks: int = 1
    reader: nn.Module | None = None  # the module that reads the weight, if it is not called itself

    @property
    def weight(self) -> nn.Parameter:
        weight = self.owner._parameters[self.attribute]  # noqa: SLF001 - beside what hides it
        assert weight is not None
        return weight


class Adapters(nn.Module):
    """The adapters of a network's linear layers, with other parameters that are trained beside.

    The network itself is not changed: hooks add the adapters' part in its forward passes.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: LoraSettings,
        frozen: Collection[str],
        fresh: Collection[str],
    ) -> None:
        """Take the network, and the names of frozen parameters and of those to train themselves.

        Only the adapters and the fresh parameters require gradients afterwards. Raises
        InvalidRequest if no layer gets an adapter.
        """
        super().__init__()
        parameters = dict(network.named_parameters())
        for parameter in parameters.values():
            parameter.requires_grad = False
        # A name in a module must not contain a dot.
        self.fresh = nn.ParameterDict(
            {name.replace(".", "/"): parameters[name].requires_grad_() for name in sorted(fresh)}
        )
        self._targets = [
            target
            for target in _find_targets(network, settings.target)
            if target.name not in frozen and target.name not in fresh
        ]
        if not self._targets:
            raise InvalidRequest(
                "The model has no linear layers that --lora could train: use --lora-target all, or "
                "leave out --freeze or --lora."
            )
        self.pairs = nn.ModuleList(
            LowRankPair(target.weight, target.blocks, settings) for target in self._targets
        )
        self._active = True
        for target, pair in zip(self._targets, self.pairs, strict=True):
            assert isinstance(pair, LowRankPair)
            self._attach(target, pair)

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Give the network the merged weights within the block, and restore its own afterwards."""
        own = [target.weight.data for target in self._targets]
        self._active = False
        try:
            for target, pair in zip(self._targets, self.pairs, strict=True):
                assert isinstance(pair, LowRankPair)
                with torch.no_grad():
                    target.weight.data = target.weight.data + pair.delta()
            yield
        finally:
            for target, weight in zip(self._targets, own, strict=True):
                target.weight.data = weight
            self._active = True

    def _attach(self, target: _Target, pair: LowRankPair) -> None:
        if target.reader is None:
            target.owner.register_forward_hook(
                lambda _, inputs, output: output + pair(inputs[0]) if self._active else output
            )
            return
        # A module finds an attribute of its own before a parameter of the same name.
        visible: dict[str, Any] = target.owner.__dict__

        def show(*_: object) -> None:
            if self._active:
                visible[target.attribute] = target.weight + pair.delta()

        def hide(*_: object) -> None:
            visible.pop(target.attribute, None)

        target.reader.register_forward_pre_hook(show)
        target.reader.register_forward_hook(hide, always_call=True)


def _find_targets(network: nn.Module, which: str) -> Iterator[_Target]:
    modules = dict(network.named_modules())
    for name, module in modules.items():
        parent_name, _, _ = name.rpartition(".")
        parent = modules[parent_name]
        if which == "attention" and not _ATTENTION.search(name):
            continue
        if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            yield _Target(f"{name}.in_proj_weight", module, "in_proj_weight", 3, module)
        elif isinstance(module, nn.Linear):
            reader = parent if type(parent).__name__ in _READS_WEIGHTS else None
            yield _Target(f"{name}.weight", module, "weight", reader=reader)
