"""The section that compares the runs of one direction."""

from collections.abc import Iterator, Sequence

from tusou_lab.compare.run import ComparedRanking, Comparison, compare
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.model import ReportPart
from tusou_lab.strings import Strings
from tusou_lab.sweep.tables import ResultTable

_CHANGED_QUERIES = 8


def compare_runs(runs: Sequence[ReportRun], words: Strings) -> Iterator[ReportPart]:
    """Compare the first run of each direction with every later one."""
    for direction in dict.fromkeys(run.direction for run in runs):
        first, *others = (run for run in runs if run.direction == direction)
        for other in others:
            comparison = compare(first.path, other.path, first.answers, changed=_CHANGED_QUERIES)
            heading = words["comparing"].format(a=first.name, b=other.name)
            yield ReportPart(
                heading, _verdict(comparison, words), table=_metrics_table(comparison, words)
            )
            counts = {
                "wins": comparison.wins,
                "ties": comparison.ties,
                "losses": comparison.losses,
            }
            yield ReportPart(text=words["wins"].format(metric=comparison.metric, **counts))
            if comparison.changed:
                yield ReportPart(text=words["changed"], table=_changed_table(comparison, words))


def _verdict(comparison: Comparison, words: Strings) -> str:
    change = comparison.metrics[comparison.metric]
    low, high = change.interval
    return words["verdict_better" if comparison.better else "verdict_equal"].format(
        winner=comparison.better,
        loser="A" if comparison.better == "B" else "B",
        metric=comparison.metric,
        a=change.a,
        b=change.b,
        difference=change.difference,
        low=low,
        high=high,
        p=change.p_holm,
    )


def _metrics_table(comparison: Comparison, words: Strings) -> ResultTable:
    rows = (
        (
            name,
            f"{change.a:.2f}",
            f"{change.b:.2f}",
            f"{change.difference:+.2f}",
            f"[{change.interval[0]:+.1f}, {change.interval[1]:+.1f}]",
            f"{change.p:.4f}",
            f"{change.p_holm:.4f}",
        )
        for name, change in comparison.metrics.items()
    )
    head = (words["metric"], "A (%)", "B (%)", words["difference"], words["interval"])
    return ResultTable((*head, "p", "p (Holm)"), tuple(rows))


def _changed_table(comparison: Comparison, words: Strings) -> ResultTable:
    rows = (
        (query.text or str(query.query_id), _rank(query.a), _rank(query.b))
        for query in comparison.changed
    )
    return ResultTable((words["query"], "A", "B"), tuple(rows))


def _rank(ranking: ComparedRanking) -> str:
    return str(ranking.first_correct or "–")
