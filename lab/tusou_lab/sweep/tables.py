"""Tables and charts of a sweep's experiments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib.figure import Figure

from tusou_lab.charts.plots import ChartBar, bar_chart, line_chart
from tusou_lab.markdown import escape_inline
from tusou_lab.strings import Strings
from tusou_lab.sweep.experiments import HEADLINE, SweepExperiment, SweepRow

MetricName: TypeAlias = Callable[[str], str]  # how a table or chart calls a metric

_DECIMALS = {"least_cosine_to_base": 6, "ms_a_query": 3, "seconds_to_build": 2, "queries": 0}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A header and rows of cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown, with all columns but the first aligned right."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        return "\n".join("| " + " | ".join(map(escape_inline, line)) + " |" for line in lines)


def experiment_tables(
    experiment: SweepExperiment, words: Strings, metric_name: MetricName = str
) -> list[ResultTable]:
    """Return a table of the metrics and, if anything else was measured, one of that."""
    rows = experiment.rows
    names = tuple(rows[0].percent)
    bounded = HEADLINE if HEADLINE in names else names[-1]
    metrics = (
        (
            _row_label(row, words),
            *(f"{row.percent[name]:.2f}" for name in names),
            f"{row.low[bounded]:.1f} – {row.high[bounded]:.1f}",
        )
        for row in rows
    )
    shown = map(metric_name, names)
    head = (words["setting"], *shown, f"{metric_name(bounded)}: {words['interval']}")
    tables = [ResultTable(head, tuple(metrics))]
    if measured := tuple(rows[0].measured):
        measurements = (
            (
                _row_label(row, words),
                *(f"{row.measured[name]:.{_DECIMALS.get(name, 2)}f}" for name in measured),
            )
            for row in rows
        )
        head = (words["setting"], *(words[name] for name in measured))
        tables.append(ResultTable(head, tuple(measurements)))
    return tables


def experiment_chart(
    experiment: SweepExperiment, words: Strings, metric_name: MetricName = str
) -> Figure:
    """Return curves over a numeric setting, bars for any other."""
    rows = experiment.rows
    if experiment.name in {"pool", "top_k"}:
        lines = {
            metric_name(name): [(row.percent[name], row.low[name], row.high[name]) for row in rows]
            for name in rows[0].percent
            if not name.startswith("mrr")
        }
        x = [float(row.label) for row in rows]
        return line_chart(words[f"axis_{experiment.name}"], words["percent"], x, lines)
    bars = [
        ChartBar(
            _row_label(row, words),
            row.percent[HEADLINE],
            f"{row.percent[HEADLINE]:.1f}",
            (row.low[HEADLINE], row.high[HEADLINE]),
        )
        for row in rows
    ]
    return bar_chart(f"{metric_name(HEADLINE)} (%)", bars)


def _row_label(row: SweepRow, words: Strings) -> str:
    return {"{query}": words["no_template"], "ensemble": words["ensemble"]}.get(
        row.label, row.label
    )
