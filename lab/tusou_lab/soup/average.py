"""Weighted sums of the weights of models."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from torch import Tensor

from tusou.core.errors import InvalidRequest

State: TypeAlias = Mapping[str, Tensor]


def weighted_sum(states: Iterable[tuple[str, float, State]]) -> dict[str, Tensor]:
    """Return the sum of `share * weights` over (name, share, weights); integers are the first's.

    One model is in memory beside the sum. Raises InvalidRequest for models of different shapes.
    """
    total: dict[str, Tensor] = {}
    first = ""
    for name, share, state in states:
        if not total:
            first = name
            total = {
                key: share * tensor.float() if tensor.is_floating_point() else tensor.clone()
                for key, tensor in state.items()
            }
            continue
        check_same_shape(first, total, name, state)
        for key, tensor in state.items():
            if tensor.is_floating_point():
                total[key] += share * tensor.float()
    return total


def check_same_shape(first: str, state: State, other: str, other_state: State) -> None:
    """Raise InvalidRequest, naming a tensor, if two models cannot be averaged."""
    for key in sorted(state.keys() | other_state.keys()):
        shapes = [
            tuple(each[key].shape) if key in each else "missing" for each in (state, other_state)
        ]
        if shapes[0] != shapes[1]:
            raise InvalidRequest(
                f"{first} and {other} cannot be averaged: {key} is {shapes[0]} in the first and "
                f"{shapes[1]} in the second; all models of a soup must have one architecture"
            )
