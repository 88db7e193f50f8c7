"""The parts that all walk-throughs share: their size, their report and how they run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tusou.core.lazy_import import LazyImport
from tusou_lab.run_commands import CommandRunner, Echo, claim_folder

# An exercise runs its commands in a folder, and returns its metrics and the files it made.
Exercise = Callable[
    [Path, "ExerciseSpec", CommandRunner], tuple[dict[str, dict[str, float]], tuple[Path, ...]]
]

_EXERCISES = {
    "muge": LazyImport("tusou_lab.walkthrough.muge:run"),
    "flickr8k": LazyImport("tusou_lab.walkthrough.flickr8k:run"),
    "teddy": LazyImport("tusou_lab.walkthrough.teddy:run"),
}


@dataclass(frozen=True, slots=True)
class ExerciseSpec:
    """The amount of data to draw."""

    items: int = 1000
    queries: int = 200
    seed: int = 2024

    @property
    def toy_options(self) -> list[str]:
        """The options of `tusou toy`."""
        sizes = {"--items": self.items, "--queries": self.queries, "--seed": self.seed}
        return [word for option, number in sizes.items() for word in (option, str(number))]


@dataclass(frozen=True, slots=True)
class ExerciseReport:
    """The scores of an exercise, the files it made, and the seconds of each verb."""

    metrics: dict[str, dict[str, float]]  # task or split -> metric -> percent
    made: tuple[str, ...]  # files to look at or to hand in
    seconds: dict[str, float]


def run_exercise(
    name: str, folder: Path, spec: ExerciseSpec, echo: Echo, *, force: bool
) -> ExerciseReport:
    """Run an exercise, from drawing its data to the files to hand in.

    Raises OutputExists if the folder holds other files, CommandFailed when a step fails.
    """
    claim_folder(folder, force=force)
    runner = CommandRunner(echo)
    run: Exercise = _EXERCISES[name].load()  # type: ignore[assignment]
    metrics, made = run(folder, spec, runner)
    return ExerciseReport(metrics, tuple(str(path) for path in made), runner.seconds)
