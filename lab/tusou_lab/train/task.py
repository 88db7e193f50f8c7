"""The interface between the loop of a training and what is trained."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn
from torch.optim import Optimizer

from tusou.encoders.training_record import SplitRecord

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)


class EpochBatches(Protocol[B_co]):
    """The batches of each epoch, reproducible from a seed."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, start: int = 0) -> Iterator[B_co]:
        """Yield the batches of epoch `number`, beginning with batch `start`."""
        ...


class TrainingTask(Protocol[B]):
    """A model and its batches, with the methods to train a step, to validate and to save it."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def optimiser(self) -> Optimizer: ...

    @property
    def batches(self) -> EpochBatches[B]: ...

    @property
    def pairs_per_step(self) -> int:
        """The pairs of a step, for the rate of the training."""
        ...

    @property
    def temperature(self) -> float | None:
        """The number that cosines are divided by at this moment, if there is one."""
        ...

    @property
    def records(self) -> Mapping[str, SplitRecord]:
        """The records of the splits `train` and `valid`."""
        ...

    def train_step(self, batch: B) -> float:
        """Update the model once, and return the loss."""
        ...

    def validate(self) -> dict[str, float]:
        """Return the scores on valid in percent, `mean_recall` among them."""
        ...

    def save(self, path: Path, epoch: int, step: int, percent: Mapping[str, float]) -> None:
        """Write the model's checkpoint, replacing `path` in one step."""
        ...
