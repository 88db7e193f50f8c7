"""Agreement of two judges about the grades of the same pairs, beyond what chance would give.

Cohen's kappa (1960) and its quadratic weights (1968) take chance from both judges' shares of
grades; Gwet's AC1 (2008) stays sensible where nearly everything has one grade.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import Values

GRADES = 4  # 0 to 3

Confusion = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of two judges; each figure is at most 1, and 0 is what chance gives."""

    pairs: int
    equal: float  # share of the pairs with the same grade
    equal_interval: tuple[float, float]  # 95 %
    kappa: float
    weighted_kappa: float  # a difference of two grades counts four times that of one
    ac1: float
    binary_kappa: float  # of correct and incorrect
    confusion: tuple[tuple[int, ...], ...]  # rows: grades of the first judge


def confusion_table(first: Sequence[int], second: Sequence[int], size: int = GRADES) -> Confusion:
    """Count the pairs of grades, (size, size); rows are those of the first judge."""
    table = np.zeros((size, size), np.int64)
    np.add.at(table, (np.asarray(first, np.int64), np.asarray(second, np.int64)), 1)
    return table


def measure_agreement(
    first: Sequence[int], second: Sequence[int], correct_from: int = 2
) -> Agreement:
    """Compare the grades, 0 to 3, that two judges gave to the same pairs; there must be one."""
    table = confusion_table(first, second)
    correct = [[grade >= correct_from for grade in grades] for grades in (first, second)]
    equal: Values = np.equal(first, second).astype(np.float64)
    return Agreement(
        pairs=len(first),
        equal=float(equal.mean()),
        equal_interval=intervals({"equal": equal})["equal"],
        kappa=cohen_kappa(table),
        weighted_kappa=cohen_kappa(table, quadratic=True),
        ac1=gwet_ac1(table),
        binary_kappa=cohen_kappa(confusion_table(correct[0], correct[1], 2)),
        confusion=tuple(tuple(row) for row in table.tolist()),
    )


def cohen_kappa(table: Confusion, *, quadratic: bool = False) -> float:
    """Return Cohen's kappa of a confusion table; 1 if both judges gave one and the same grade."""
    size, total = len(table), table.sum()
    steps = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    costs = steps**2 if quadratic else steps > 0
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    expected = float((costs * by_chance).sum())
    return 1 - float((costs * table).sum()) / expected if expected else 1.0


def gwet_ac1(table: Confusion) -> float:
    """Return Gwet's AC1 of a confusion table; grades that neither judge gave count too."""
    total = table.sum()
    shares = (table.sum(axis=1) + table.sum(axis=0)) / (2 * total)
    by_chance = float((shares * (1 - shares)).sum()) / (len(table) - 1)
    return (float(np.trace(table)) / float(total) - by_chance) / (1 - by_chance)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's tau-b of two lists of scores; 0 where one of them has equal scores only."""
    ours, theirs = (_directions(np.asarray(scores, np.float64)) for scores in (first, second))
    untied = float(np.abs(ours).sum()) * float(np.abs(theirs).sum())
    return float((ours * theirs).sum()) / float(np.sqrt(untied)) if untied else 0.0


def changed_orders(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the share of the pairs of entries that both lists of scores order the opposite way."""
    ours, theirs = (_directions(np.asarray(scores, np.float64)) for scores in (first, second))
    return float((ours * theirs < 0).mean()) if len(ours) else 0.0


def _directions(scores: Values) -> Values:
    """Return whether each of two different scores is the larger (1), the smaller (-1) or equal."""
    rows, columns = np.triu_indices(len(scores), 1)
    signs: Values = np.sign(scores[rows] - scores[columns])
    return signs
