"""Tries rungs one by one, then puts those that help on top of each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tusou.cli.progress import Progress
from tusou.evaluation.significance import holm
from tusou_lab.improve.gains import METRIC, judge, measure_gains
from tusou_lab.improve.ladder import LadderRung, RungCost
from tusou_lab.improve.run_folder import run_name
from tusou_lab.improve.rungs import Rung, Standing, Tools

MeasureCost = Callable[[Path], RungCost | None]


@dataclass(frozen=True, slots=True, eq=False)
class TriedRung:
    """A rung's result, and the bundle with it; None when no setting helps."""

    rung: Rung
    result: LadderRung
    standing: Standing | None


@dataclass(frozen=True, slots=True, eq=False)
class Climb:
    """All results, and the bundle with the rungs that were taken."""

    alone: tuple[LadderRung, ...]
    together: tuple[LadderRung, ...]
    top: Standing
    taken: tuple[str, ...]
    cost: RungCost | None  # of the top
    tests: int


def climb(
    plain: Standing, rungs: Sequence[Rung], tools: Tools, cost: MeasureCost, progress: Progress
) -> Climb:
    """Try every rung alone; then put the confirmed ones on each other, the best first.

    The order is that of the gains on the choosing half. A rung stays if its gain over all rungs
    below is confirmed as well.
    """
    progress.begin("trying rungs", len(rungs))
    alone = []
    for rung in rungs:
        alone.append(try_rung(rung, plain, (), tools, cost))
        progress.advance(note=rung.name)
    confirmed = [tried for tried in alone if tried.result.verdict == "taken"]
    confirmed.sort(key=lambda tried: -tried.result.chosen_gain)
    together: list[TriedRung] = []
    top, taken, top_cost = plain, list[str](), None
    progress.begin("putting rungs on top of each other", len(confirmed))
    for helpful in confirmed:
        tried = helpful
        if taken:  # the first has been tried: it was alone
            tried = try_rung(helpful.rung, top, tuple(taken), tools, cost)
        together.append(tried)
        if tried.standing is not None and tried.result.verdict == "taken":
            top, top_cost = tried.standing, tried.result.cost
            taken.append(tried.rung.name)
        progress.advance(note=tried.rung.name)
    corrected, tests = _correct([*alone, *together[1:]])
    count = len(alone)
    first = [result for result in corrected[:count] if together and _is_first(result, together)]
    return Climb(
        tuple(corrected[:count]), (*first, *corrected[count:]), top, tuple(taken), top_cost, tests
    )


def try_rung(
    rung: Rung, below: Standing, above: tuple[str, ...], tools: Tools, cost: MeasureCost
) -> TriedRung:
    """Choose a rung's settings on one half, and measure its gain on the other."""
    recipe = rung.choose(below, tools)
    if recipe is None:
        return TriedRung(
            rung, LadderRung(rung.name, above, "", 0.0, {}, None, None, "no_gain", None), None
        )
    halves = tools.trials.halves
    root = tools.maker.make(recipe)
    standing = Standing(recipe, root, tools.trials.search(root, f"{recipe.key}-made"))
    chosen = standing.trial.mean(halves.choosing) - below.trial.mean(halves.choosing)
    gains = measure_gains(below.trial.values, standing.trial.values, halves.confirming)
    name = run_name((*above, rung.name))
    tools.runs.save(name, standing.trial.run)
    result = LadderRung(
        rung.name,
        above,
        recipe.text,
        100 * chosen,
        gains,
        None,
        cost(root),
        judge(gains[METRIC]),
        name,
    )
    return TriedRung(rung, result, standing)


def _is_first(result: LadderRung, together: Sequence[TriedRung]) -> bool:
    return result.name == together[0].rung.name


def _correct(tried: Sequence[TriedRung]) -> tuple[list[LadderRung], int]:
    """Return the results with p values corrected for all confirmations, and their number."""
    results = [each.result for each in tried]
    p = {
        str(number): result.gains[METRIC].p for number, result in enumerate(results) if result.gains
    }
    corrected = holm(p)
    return [
        replace(result, p_holm=corrected.get(str(number))) for number, result in enumerate(results)
    ], len(p)
