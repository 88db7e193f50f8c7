"""The exponential moving average of the weights that are trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """Follows the trained parameters of a module; its buffers are part of a run's state.

    The decay rises from 0.1 to the given one, so that the random weights of a start are forgotten:
    after step t it is (1 + t) / (10 + t) at most.
    """

    steps: Tensor

    def __init__(self, trained: nn.Module, decay: float) -> None:
        super().__init__()
        self._decay = decay
        self._parameters_of = [p for p in trained.parameters() if p.requires_grad]
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        for number, parameter in enumerate(self._parameters_of):
            self.register_buffer(f"average_{number}", parameter.detach().clone())

    def update(self) -> None:
        """Move the average towards the parameters after a step."""
        self.steps += 1
        count = int(self.steps)
        decay = min(self._decay, (1 + count) / (10 + count))
        with torch.no_grad():
            for average, parameter in self._pairs():
                average.lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the parameters the averaged values within the block."""
        own = [parameter.data for parameter in self._parameters_of]
        try:
            for average, parameter in self._pairs():
                parameter.data = average.clone()
            yield
        finally:
            for parameter, values in zip(self._parameters_of, own, strict=True):
                parameter.data = values

    def _pairs(self) -> Iterator[tuple[Tensor, nn.Parameter]]:
        for number, parameter in enumerate(self._parameters_of):
            yield self.get_buffer(f"average_{number}"), parameter
