"""The settings of a distillation."""

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from tusou.core.errors import InvalidRequest
from tusou_lab.train.losses import LossSpec

Distilled: TypeAlias = Literal["features", "relations"]
DEFAULT_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class DistillationSpec:
    """The settings of a distillation; None without a teacher."""

    teacher: str | None = None  # a MODEL of the command line
    distil: Distilled | None = None  # what the model takes over from it
    distil_weight: float | None = None  # share of the loss; 1: labels do not count

    @classmethod
    def parse(cls, teacher: str | None, distil: Distilled | None, weight: float | None) -> Self:
        """Take options, None for the default; InvalidRequest."""
        if teacher is None:
            if distil is not None or weight is not None:
                raise InvalidRequest("--distil and --distil-weight need --teacher.")
            return cls()
        if weight == 0:
            raise InvalidRequest("--distil-weight 0 ignores the teacher: leave out --teacher")
        return cls(teacher, distil or "relations", DEFAULT_WEIGHT if weight is None else weight)

    def check(self, losses: LossSpec) -> None:
        """Raise InvalidRequest for a loss that would not count."""
        if self.distil_weight == 1 and losses.loss != LossSpec().loss:
            raise InvalidRequest(
                f"--distil-weight 1 leaves no share to --loss {losses.loss}: leave out --loss, or "
                "give a smaller weight"
            )
