"""Rungs: stages to try, each of which chooses its settings on one half of the queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Protocol

from tusou.bundle.stages import FeedbackRecord, StageRecord
from tusou_lab.improve.recipes import BundleMaker, Recipe
from tusou_lab.improve.run_folder import RunFolder
from tusou_lab.improve.trials import ScoredTrial, TrialRunner

FEEDBACK_ITEMS, FEEDBACK_WEIGHTS = (1, 3, 10), (0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A bundle that a rung is tried on top of."""

    recipe: Recipe
    root: Path
    trial: ScoredTrial


@dataclass(frozen=True, slots=True)
class Tools:
    """The means of a rung: it makes bundles, searches them, and keeps their runs."""

    maker: BundleMaker
    trials: TrialRunner
    runs: RunFolder


class Rung(Protocol):
    """A stage to try."""

    @property
    def name(self) -> str:
        """The name of the rung, as `--try` gives it."""
        ...

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Return the recipe with the settings that are best on the choosing half.

        None when none of them is better there than the bundle without the stage.
        """
        ...


@dataclass(frozen=True, slots=True)
class StageSetting:
    """One setting of a stage, as options of `tusou stages` and as records of the manifest."""

    options: Mapping[str, str]
    records: Mapping[str, StageRecord | None]


@dataclass(frozen=True, slots=True)
class SettingGrid:
    """A stage that needs no files: its settings are tried by changes of the manifest."""

    name: str
    settings: Sequence[StageSetting]

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Search with every setting; of equally good ones the first is taken."""
        choosing = tools.trials.halves.choosing
        best, chosen = below.trial.mean(choosing), None
        for setting in self.settings:
            recipe = below.recipe.with_stages(setting.options)
            root = tools.maker.vary(below.root, setting.records)
            score = tools.trials.search(root, recipe.key).mean(choosing)
            if score > best:
                best, chosen = score, recipe
        return chosen


def feedback_rung() -> SettingGrid:
    """Return pseudo-relevance feedback with a few numbers of items and weights."""
    grid = product(FEEDBACK_ITEMS, FEEDBACK_WEIGHTS)
    return SettingGrid(
        "feedback",
        [
            StageSetting(
                {"--feedback": f"{items}:{weight:g}"},
                {"feedback": FeedbackRecord(items=items, weight=weight)},
            )
            for items, weight in grid
        ],
    )
