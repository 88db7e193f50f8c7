"""What the walk-throughs share: their size, and what they leave behind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tusou.core.lazy_import import LazyImport
from tusou_lab.run_commands import CommandRunner, Say, claim_folder

_WALKS = {
    "muge": LazyImport("tusou_lab.walkthrough.muge:walk"),
    "flickr8k": LazyImport("tusou_lab.walkthrough.flickr8k:walk"),
    "teddy": LazyImport("tusou_lab.walkthrough.teddy:walk"),
}


@dataclass(frozen=True, slots=True)
class ExerciseSpec:
    """How much to draw."""

    items: int = 1000
    queries: int = 200
    seed: int = 2024

    @property
    def arguments(self) -> list[str]:
        """Give the options of `tusou toy`."""
        sizes = {"--items": self.items, "--queries": self.queries, "--seed": self.seed}
        return [word for option, number in sizes.items() for word in (option, str(number))]


@dataclass(frozen=True, slots=True)
class ExerciseReport:
    """What a walk-through scored, in percent, what it made, and the seconds of each verb."""

    metrics: dict[str, dict[str, float]]  # what was scored -> metric -> value
    made: tuple[str, ...]  # files to look at or to hand in
    seconds: dict[str, float]


Walk = Callable[
    [Path, ExerciseSpec, CommandRunner], tuple[dict[str, dict[str, float]], tuple[Path, ...]]
]


def run_exercise(
    name: str, folder: Path, spec: ExerciseSpec, say: Say, *, force: bool
) -> ExerciseReport:
    """Do an exercise from drawing its data to the files that are handed in.

    Raises OutputExists for a folder of something else, CommandFailed when a step fails.
    """
    claim_folder(folder, force=force)
    steps = CommandRunner(say)
    walk: Walk = _WALKS[name].load()  # type: ignore[assignment]
    metrics, made = walk(folder, spec, steps)
    return ExerciseReport(metrics, tuple(str(path) for path in made), steps.seconds)
