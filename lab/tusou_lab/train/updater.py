"""Weight updates: loss scaling, gradients of several processes, clipping, moving average."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from tusou_lab.train.optimiser import MAX_GRADIENT
from tusou_lab.train.processes import Processes
from tusou_lab.train.weight_average import WeightAverage


class LossScale(nn.Module):
    """The scale of a loss in fp16, which keeps small gradients; its state is that of the run."""

    def __init__(self, device: torch.device, *, enabled: bool) -> None:
        super().__init__()
        self.scaler = GradScaler(device.type, enabled=enabled)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the scale and how long it has been right."""
        return self.scaler.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore them."""
        if state:
            self.scaler.load_state_dict(state)


class Updater:
    """Collects the gradients of one or more losses, and takes a step of the optimiser."""

    def __init__(
        self,
        trained: nn.Module,
        optimiser: Optimizer,
        scale: LossScale,
        average: WeightAverage | None,
        processes: Processes,
    ) -> None:
        self._trained, self._optimiser, self._scaler = trained, optimiser, scale.scaler
        self._average, self._processes = average, processes

    def begin(self) -> None:
        """Forget the gradients of the step before."""
        self._optimiser.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled in fp16."""
        torch.autograd.backward(self._scaler.scale(loss))

    def finish(self) -> None:
        """Take a step with clipped gradients; in fp16, none if a gradient is not finite."""
        self._processes.average_gradients(self._trained.parameters())
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self._trained.parameters(), MAX_GRADIENT)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._average is not None:
            self._average.update()
