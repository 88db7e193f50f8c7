"""Gains of one bundle over another on the same queries, with paired intervals."""

from collections.abc import Mapping

from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import Values
from tusou.evaluation.significance import permutation_test
from tusou_lab.improve.halves import Positions
from tusou_lab.improve.ladder import Gain, Verdict

METRIC = "mean_recall"  # chooses settings, and decides
METRICS = (METRIC, "hit@1", "hit@5", "hit@10")


def measure_gains(
    before: Mapping[str, Values], after: Mapping[str, Values], positions: Positions
) -> dict[str, Gain]:
    """Return the gain of each metric over some of the queries, in percent."""
    a = {name: before[name][positions] for name in METRICS}
    b = {name: after[name][positions] for name in METRICS}
    differences = {name: b[name] - a[name] for name in METRICS}
    bounds, p = intervals(differences), permutation_test(differences)
    return {
        name: Gain(
            100 * float(a[name].mean()),
            100 * float(b[name].mean()),
            100 * float(differences[name].mean()),
            100 * bounds[name][0],
            100 * bounds[name][1],
            p[name],
        )
        for name in METRICS
    }


def judge(gain: Gain) -> Verdict:
    """Return whether a rung with this gain is taken: its interval must lie above 0."""
    if gain.low > 0:
        return "taken"
    return "worse" if gain.high < 0 else "holds_zero"
