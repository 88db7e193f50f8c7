"""Shows what a sweep found: a table and a curve for each question."""

from collections.abc import Sequence
from dataclasses import dataclass

from tusou_lab.charts.plots import Bar, Bars, Chart, Lines, Series
from tusou_lab.strings import Words
from tusou_lab.sweep.experiments import BOUNDED, Question, Row

_DECIMALS = {"least_cosine_to_base": 6, "ms_a_query": 3, "seconds_to_build": 2}


@dataclass(frozen=True, slots=True)
class Table:
    """A head, and rows of cells under it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Write the table as Markdown, all but the first column aligned right."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def tables(question: Question, words: Words) -> list[Table]:
    """Give the metrics of a question, and in another table what is no metric of retrieval."""
    shown = [_metrics(question, words)]
    if question.rows and question.rows[0].measured:
        shown.append(_measured(question, words))
    return shown


def label(row: Row, words: Words) -> str:
    """Name a setting for people."""
    return {"{query}": words["none"], "ensemble": words["ensemble"]}.get(row.label, row.label)


def chart(question: Question, words: Words) -> Chart:
    """Draw numbers as curves and names as bars."""
    if question.name in {"pool", "top_k"}:
        return Lines(
            words[f"axis_{question.name}"],
            words["percent"],
            tuple(float(row.label) for row in question.rows),
            tuple(_series(name, question.rows) for name in _drawn(question)),
            log=True,
        )
    bars = (
        Bar(
            label(row, words),
            row.percent[BOUNDED],
            f"{row.percent[BOUNDED]:.1f}",
            row.low[BOUNDED],
            row.high[BOUNDED],
        )
        for row in question.rows
    )
    return Bars(f"{BOUNDED} (%)", tuple(bars))


def _drawn(question: Question) -> Sequence[str]:
    return [name for name in question.rows[0].percent if not name.startswith("mrr")]


def _series(name: str, rows: Sequence[Row]) -> Series:
    values, low, high = (
        tuple(part[name] for part in parts)
        for parts in zip(*((row.percent, row.low, row.high) for row in rows), strict=True)
    )
    return Series(name, values, low, high)


def _metrics(question: Question, words: Words) -> Table:
    names = tuple(question.rows[0].percent)
    bounded = names[-1] if BOUNDED not in names else BOUNDED
    rows = (
        (
            label(row, words),
            *(f"{row.percent[name]:.2f}" for name in names),
            f"{row.low[bounded]:.1f} – {row.high[bounded]:.1f}",
        )
        for row in question.rows
    )
    return Table((words["setting"], *names, f"{bounded}: {words['interval']}"), tuple(rows))


def _measured(question: Question, words: Words) -> Table:
    names = tuple(question.rows[0].measured)
    rows = (
        (
            label(row, words),
            *(f"{row.measured[name]:.{_DECIMALS.get(name, 2)}f}" for name in names),
        )
        for row in question.rows
    )
    return Table((words["setting"], *map(words.get, names)), tuple(rows))


def _cell(text: str) -> str:
    """Keep text that was somebody's from ending its cell or becoming markup."""
    plain = " ".join(text.split())
    for mark in "\\`<|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain.replace("](", "]\\(")
