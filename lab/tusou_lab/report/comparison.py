"""The section that sets runs of one direction beside each other, with its verdict."""

from collections.abc import Iterator, Sequence

from tusou_lab.compare.run import CompareSpec, Comparison, Found, compare
from tusou_lab.report.inputs import Source
from tusou_lab.report.model import Part
from tusou_lab.strings import Words
from tusou_lab.sweep.tables import Table

_CHANGED = 8


def comparisons(sources: Sequence[Source], words: Words) -> Iterator[Part]:
    """Compare the first run of each direction with every later one."""
    for direction in dict.fromkeys(one.direction for one in sources):
        first, *others = (one for one in sources if one.direction == direction)
        for other in others:
            spec = CompareSpec(changed=_CHANGED)
            found = compare(first.path, other.path, first.answers, spec)
            heading = words["comparing"].format(a=first.name, b=other.name)
            yield Part(heading, _verdict(found, words), table=_figures(found, words))
            counts = {"wins": found.wins, "ties": found.ties, "losses": found.losses}
            yield Part(text=words["wins"].format(metric=found.metric, **counts))
            if found.changed:
                yield Part(text=words["changed"], table=_changed(found, words))


def _verdict(found: Comparison, words: Words) -> str:
    change = found.metrics[found.metric]
    low, high = change.interval
    return words["better" if found.better else "alike"].format(
        winner=found.better,
        loser="A" if found.better == "B" else "B",
        metric=found.metric,
        a=change.a,
        b=change.b,
        difference=change.difference,
        low=low,
        high=high,
        p=change.p_holm,
    )


def _figures(found: Comparison, words: Words) -> Table:
    rows = (
        (
            name,
            f"{one.a:.2f}",
            f"{one.b:.2f}",
            f"{one.difference:+.2f}",
            f"[{one.interval[0]:+.1f}, {one.interval[1]:+.1f}]",
            f"{one.p:.4f}",
            f"{one.p_holm:.4f}",
        )
        for name, one in found.metrics.items()
    )
    head = (words["metric"], "A (%)", "B (%)", words["difference"], words["interval_of"])
    return Table((*head, "p", "p (Holm)"), tuple(rows))


def _changed(found: Comparison, words: Words) -> Table:
    rows = ((one.text or str(one.query_id), _rank(one.a), _rank(one.b)) for one in found.changed)
    return Table((words["query"], "A", "B"), tuple(rows))


def _rank(side: Found) -> str:
    return str(side.first_correct or "–")
