"""The section that compares the runs of one direction."""

from collections.abc import Iterator, Sequence

from tusou_lab.compare.run import Comparison, compare
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.metric_names import metric_name
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
            text = words["wins"].format(
                metric=metric_name(comparison.metric, words),
                wins=comparison.wins,
                losses=comparison.losses,
                ties=comparison.ties,
            )
            yield ReportPart(text=text)
            changed = (
                (
                    query.text or str(query.query_id),
                    str(query.a.first_correct or "–"),
                    str(query.b.first_correct or "–"),
                )
                for query in comparison.changed
            )
            if comparison.changed:
                table = ResultTable((words["query"], "A", "B"), tuple(changed))
                yield ReportPart(text=words["changed"], table=table)


def _verdict(comparison: Comparison, words: Strings) -> str:
    verdict = words["verdict_better" if comparison.better else "verdict_equal"].format(
        winner=comparison.better, loser="A" if comparison.better == "B" else "B"
    )
    change = comparison.metrics[comparison.metric]
    low, high = change.interval
    return verdict + words["verdict_figures"].format(
        metric=metric_name(comparison.metric, words),
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
            metric_name(name, words),
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
