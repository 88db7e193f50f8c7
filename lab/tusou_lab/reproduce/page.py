"""The report of a reproduction as Markdown and as lines for the terminal."""

from collections.abc import Iterator

from tusou_lab.markdown import escape_inline
from tusou_lab.reproduce.published import METRICS
from tusou_lab.reproduce.report import LadderLine, Reproduction

LADDER_HEAD = ("rung", "gain", "95 % interval", "ms a query", "verdict")

_VERDICTS = {
    "reproduced": "The published figures are reproduced, to their last digit or next to it.",
    "differs": "The figures differ from the published ones by more than rounding.",
    "other_data": "The data are not the official files, so the figures cannot be compared.",
    "no_row": "No figures are published for a model of this architecture.",
}


def table_rows(report: Reproduction) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row: the published figures, the measured ones, their intervals."""
    for row in report.published:
        chosen = " (compared)" if row is report.row else ""
        figures = (f"{row.percent[name]:.1f}" for name in METRICS)
        yield f"published, {row.model} {row.training}{chosen}", *figures
    yield "measured", *(f"{report.percent[name]:.2f}" for name in METRICS)
    bounds = (report.interval[name] for name in METRICS)
    yield "95 % interval", *(f"{low:.2f} .. {high:.2f}" for low, high in bounds)
    if report.differences:
        yield "difference", *(f"{report.differences[name]:+.2f}" for name in METRICS)


def verdict_sentence(report: Reproduction) -> str:
    """Return the verdict; for other data it names their size beside the official one."""
    sentence = _VERDICTS[report.verdict]
    if report.verdict != "other_data":
        return sentence
    size, official = report.size, report.official
    return (
        f"{sentence} MUGE's valid split has {official.queries:,} queries and {official.images:,} "
        f"images, this one {size.queries:,} and {size.images:,}."
    )


def ladder_rows(report: Reproduction) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each rung: name, gain with its interval, milliseconds, verdict."""
    for line in report.ladder:
        name = " + ".join((*line.above, line.name))
        cost = "-" if line.ms is None else f"{line.ms:.1f}"
        yield name, *_gain(line), cost, line.verdict


def _gain(line: LadderLine) -> tuple[str, str]:
    if line.gain is None or line.low is None or line.high is None:
        return "-", "-"
    return f"{line.gain:+.2f}", f"{line.low:+.2f} .. {line.high:+.2f}"


def write_page(report: Reproduction) -> str:
    """Return the report in Markdown."""
    lines = ["# MUGE valid, text to image", "", verdict_sentence(report), ""]
    lines += _table(("", *METRICS), table_rows(report))
    if report.ladder:
        lines += ["", "## Ladder", "", "Gains of mean_recall on queries that chose nothing.", ""]
        lines += _table(LADDER_HEAD, ladder_rows(report))
    facts = {
        "model": f"{report.model}, sha256 {report.model_sha256}",
        "data": f"{report.size.queries:,} queries, {report.size.images:,} images, of which "
        f"{report.failed_items:,} cannot be used",
        "bundle": f"{report.bundle}, index {report.index}, precision {report.precision}",
        "measured": f"{report.date} with Tusou {report.tusou} on {report.machine}",
        "seconds": ", ".join(f"{verb} {each:g}" for verb, each in report.seconds.items()),
    }
    lines += ["", *(f"* {name}: {escape_inline(value)}" for name, value in facts.items())]
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(escape_inline, row))} |"
