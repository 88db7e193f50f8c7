"""The input and the result of a student's training."""

from dataclasses import dataclass

from tusou.core.arrays import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class TaughtTexts:
    """Texts with the teacher's vectors (n, d)."""

    texts: tuple[str, ...]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The end of a training."""

    steps: int  # 0 for a table, which is solved
    loss: float
    settings: dict[str, str | int | float]
