"""The checkpoints of a model, one or several, and the choice of what computes their towers."""

from dataclasses import dataclass

from tusou.core.errors import InvalidRequest
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights
from tusou.encoders.openvino.precision_file import MeasuredPrecision
from tusou.encoders.select_backend import ResolvedEncoder, resolve_encoder


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """The checkpoints of a model: one, or those of an ensemble with their weights in the score."""

    members: tuple[Weights, ...]
    weights: tuple[float, ...] = (1.0,)  # they add up to 1

    @property
    def locations(self) -> tuple[str, ...]:
        """The names that find the files here again: paths, and open_clip's names."""
        return tuple(
            member.location if member.open_clip else str(member.path) for member in self.members
        )


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """The text towers or the image towers of a model, each with what computes it."""

    members: tuple[ResolvedEncoder, ...]
    weights: tuple[float, ...]

    @property
    def device(self) -> str:
        """The device of all towers: cpu, cuda or cuda:N."""
        return self.members[0].device

    @property
    def measured(self) -> tuple[MeasuredPrecision | None, ...]:
        """The measurement of each tower by which `auto` chose; None where there was none."""
        return tuple(member.measured for member in self.members)

    @property
    def min_memory(self) -> int:
        """Return the bytes of main memory that the parameters of all towers take."""
        return sum(member.min_memory for member in self.members)


def resolve_model(
    model: ModelWeights,
    tower: Tower,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
) -> ResolvedModel:
    """Resolve one tower of every checkpoint; arguments and errors as for `resolve_encoder`.

    Precision and backend may also be lists, such as `bf16,fp32`, with one for each checkpoint.
    """
    count = len(model.members)
    settings = zip(
        model.members, split_names(precision, count), split_names(backend, count), strict=True
    )
    members = (resolve_encoder(member, tower, device, *names) for member, *names in settings)
    return ResolvedModel(tuple(members), model.weights)


def split_names(names: str, count: int) -> list[str]:
    """Return the name of each of `count` models, from one for all or a list; InvalidRequest."""
    split = names.split(",") if count > 1 else [names]
    if len(split) not in {1, count}:
        raise InvalidRequest(f"{names!r}: give one for all {count} models, or one for each.")
    return split * count if len(split) == 1 else split
