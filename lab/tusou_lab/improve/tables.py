"""The tables of a ladder, for its page, the terminal and reports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.files import write_file
from tusou_lab.improve.gains import METRIC, METRICS
from tusou_lab.improve.ladder import PAGE, BestBundle, Gain, Ladder, LadderRung, RungCost
from tusou_lab.markdown import escape_text
from tusou_lab.strings import Strings, strings_in
from tusou_lab.sweep.tables import MetricName, ResultTable


@dataclass(frozen=True, slots=True)
class LadderPart:
    """A piece of the page: a heading with text, tables and points."""

    heading: str
    text: str
    tables: tuple[ResultTable, ...] = ()
    points: tuple[str, ...] = ()


def ladder_parts(
    ladder: Ladder, words: Strings, metric_name: MetricName = str
) -> Iterator[LadderPart]:
    """Yield the pieces: what was measured, the rungs alone, on each other, and the best bundle."""
    intro = words["ladder_text"].format(
        model=ladder.model,
        items=f"{ladder.items:,}",
        choosing=ladder.choosing,
        confirming=ladder.confirming,
        seed=ladder.seed,
        metric=metric_name(METRIC),
        tests=ladder.tests,
    )
    notes = (words[f"ladder_note_{code}"].format(**values) for code, values in ladder.notes.items())
    yield LadderPart("", intro, points=tuple(notes))
    yield LadderPart(
        words["ladder_alone"], words["ladder_alone_text"], _tables(ladder.alone, words, metric_name)
    )
    if ladder.together:
        tables = _tables(ladder.together, words, metric_name, on_top=True)
        yield LadderPart(words["ladder_together"], words["ladder_together_text"], tables)
    yield _best(ladder.best, words, metric_name)


def write_page(folder: Path, ladder: Ladder) -> None:
    """Write the pieces as Markdown."""
    words = strings_in("en")
    page = [f"# {words['ladder']}"]
    for part in ladder_parts(ladder, words):
        page += [f"## {part.heading}"] if part.heading else []
        page += [escape_text(part.text)] if part.text else []
        page += ["\n".join(f"* {escape_text(point)}" for point in part.points)] * bool(part.points)
        page += [table.markdown() for table in part.tables]
    page.append(f"{ladder.date}, {escape_text(ladder.machine)}, {ladder.seconds:.0f} s")
    write_file(folder / PAGE, ("\n\n".join(page) + "\n").encode())


def text_table(table: ResultTable) -> str:
    """Return a table for a terminal: columns of equal width, all but the first aligned right."""
    rows = (table.head, *table.rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )


def _tables(
    rungs: Sequence[LadderRung], words: Strings, metric_name: MetricName, *, on_top: bool = False
) -> tuple[ResultTable, ...]:
    head = (
        words["ladder_rung"],
        f"{metric_name(METRIC)} (%)",
        words["ladder_gain"],
        words["interval"],
        "p (Holm)",
        words["ladder_ms"],
        words["ladder_memory"],
        words["ladder_disk"],
        words["ladder_verdict"],
    )
    gains = ResultTable(head, tuple(_row(rung, words, on_top=on_top) for rung in rungs))
    names = tuple(metric_name(name) for name in METRICS[1:])
    others = ResultTable(
        (words["ladder_rung"], words["ladder_chosen_gain"], *names, words["ladder_settings"]),
        tuple(
            (
                _name(rung),
                f"{rung.chosen_gain:+.2f}",
                *(_change(rung.gains.get(name)) for name in METRICS[1:]),
                rung.settings or "–",
            )
            for rung in rungs
        ),
    )
    return gains, others


def _row(rung: LadderRung, words: Strings, *, on_top: bool) -> tuple[str, ...]:
    helps_alone = rung.verdict == "taken" and not (rung.above or on_top)
    verdict = words["ladder_helps" if helps_alone else f"ladder_{rung.verdict}"]
    gain = rung.gains.get(METRIC)
    if gain is None:
        return (_name(rung), *["–"] * 7, verdict)
    return (
        _name(rung),
        f"{gain.after:.2f}",
        f"{gain.gain:+.2f}",
        f"[{gain.low:+.2f}, {gain.high:+.2f}]",
        "–" if rung.p_holm is None else f"{rung.p_holm:.4f}",
        *_costs(rung.cost),
        verdict,
    )


def _costs(cost: RungCost | None) -> tuple[str, str, str]:
    if cost is None:
        return "–", "–", "–"
    return (
        f"{cost.ms:.2f} (×{cost.ms / cost.plain_ms:.2f})",
        f"{cost.memory_mb - cost.plain_memory_mb:+.0f}",
        f"{cost.disk_mb - cost.plain_disk_mb:+.1f}",
    )


def _best(best: BestBundle, words: Strings, metric_name: MetricName) -> LadderPart:
    if not best.rungs:
        return LadderPart(words["ladder_best"], words["ladder_best_plain"])
    head = (words["metric"], words["ladder_plain"], words["ladder_best"], words["ladder_gain"])
    rows = (
        (
            metric_name(name),
            f"{gain.before:.2f}",
            f"{gain.after:.2f}",
            f"{gain.gain:+.2f}",
            f"[{gain.low:+.2f}, {gain.high:+.2f}]",
        )
        for name, gain in best.gains.items()
    )
    text = words["ladder_best_text"].format(rungs=" + ".join(best.rungs), settings=best.settings)
    cost = [
        words["ladder_best_cost"].format(ms=ms, memory=memory, disk=disk)
        for ms, memory, disk in [_costs(best.cost)]
        if best.cost
    ]
    table = ResultTable((*head, words["interval"]), tuple(rows))
    return LadderPart(words["ladder_best"], text, (table,), tuple(cost))


def _name(rung: LadderRung) -> str:
    return f"+ {rung.name}" if rung.above else rung.name


def _change(gain: Gain | None) -> str:
    return "–" if gain is None else f"{gain.after:.2f} ({gain.gain:+.2f})"
