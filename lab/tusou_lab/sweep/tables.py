"""Tables and charts of a sweep's experiments."""

from collections.abc import Sequence
from dataclasses import dataclass

from tusou_lab.charts.plots import BarChart, Chart, ChartBar, ChartLine, LineChart
from tusou_lab.strings import Translator
from tusou_lab.sweep.experiments import HEADLINE, SweepExperiment, SweepRow

_DECIMALS = {"least_cosine_to_base": 6, "ms_a_query": 3, "seconds_to_build": 2}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A header and rows of cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown, with all columns but the first aligned right."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        return "\n".join("| " + " | ".join(map(_escape_cell, line)) + " |" for line in lines)


def experiment_tables(experiment: SweepExperiment, words: Translator) -> list[ResultTable]:
    """Return a table of the metrics and, if anything else was measured, one of that."""
    tables = [_metrics_table(experiment, words)]
    if experiment.rows and experiment.rows[0].measured:
        tables.append(_measurements_table(experiment, words))
    return tables


def experiment_chart(experiment: SweepExperiment, words: Translator) -> Chart:
    """Return curves over a numeric setting, bars for any other."""
    if experiment.name in {"pool", "top_k"}:
        return LineChart(
            words[f"axis_{experiment.name}"],
            words["percent"],
            tuple(float(row.label) for row in experiment.rows),
            tuple(_line(name, experiment.rows) for name in _charted_metrics(experiment)),
            log=True,
        )
    bars = (
        ChartBar(
            _row_label(row, words),
            row.percent[HEADLINE],
            f"{row.percent[HEADLINE]:.1f}",
            row.low[HEADLINE],
            row.high[HEADLINE],
        )
        for row in experiment.rows
    )
    return BarChart(f"{HEADLINE} (%)", tuple(bars))


def _row_label(row: SweepRow, words: Translator) -> str:
    return {"{query}": words["no_template"], "ensemble": words["ensemble"]}.get(
        row.label, row.label
    )


def _charted_metrics(experiment: SweepExperiment) -> Sequence[str]:
    return [name for name in experiment.rows[0].percent if not name.startswith("mrr")]


def _line(name: str, rows: Sequence[SweepRow]) -> ChartLine:
    return ChartLine(
        name,
        tuple(row.percent[name] for row in rows),
        tuple(row.low[name] for row in rows),
        tuple(row.high[name] for row in rows),
    )


def _metrics_table(experiment: SweepExperiment, words: Translator) -> ResultTable:
    names = tuple(experiment.rows[0].percent)
    bounded = HEADLINE if HEADLINE in names else names[-1]
    rows = (
        (
            _row_label(row, words),
            *(f"{row.percent[name]:.2f}" for name in names),
            f"{row.low[bounded]:.1f} – {row.high[bounded]:.1f}",
        )
        for row in experiment.rows
    )
    return ResultTable((words["setting"], *names, f"{bounded}: {words['interval']}"), tuple(rows))


def _measurements_table(experiment: SweepExperiment, words: Translator) -> ResultTable:
    names = tuple(experiment.rows[0].measured)
    rows = (
        (
            _row_label(row, words),
            *(f"{row.measured[name]:.{_DECIMALS.get(name, 2)}f}" for name in names),
        )
        for row in experiment.rows
    )
    return ResultTable((words["setting"], *map(words.get, names)), tuple(rows))


def _escape_cell(text: str) -> str:
    """Keep user text from ending its cell or becoming markup."""
    line = " ".join(text.split())
    for mark in "\\`<|":
        line = line.replace(mark, f"\\{mark}")
    return line.replace("](", "]\\(")
