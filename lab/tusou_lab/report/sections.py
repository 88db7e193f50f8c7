"""The sections of a report about its runs, each as the parts that stand in it."""

from collections.abc import Iterator, Sequence

from tusou_lab.charts.plots import Bar, Bars, Flow
from tusou_lab.report.analysis import SAME, Outcome, parts, spread
from tusou_lab.report.examples import Tiles
from tusou_lab.report.facts import data_facts, machine_facts, setting_facts, table_of
from tusou_lab.report.inputs import Source
from tusou_lab.report.model import Card, Figure, Part, Rows
from tusou_lab.report.ranks import exact_ranks
from tusou_lab.strings import Words
from tusou_lab.sweep.tables import Table

_CARDS = ("hit@1", "hit@5", "hit@10", "mean_recall")
_ANALYSED = ("mean_recall", "hit@1")  # the first that the lists are long enough for
_NEAR = 5  # ranks up to here are near misses
_BARS = 12  # at most so many parts of one kind
_BOX = 11  # characters fit into a line of a box


def cards(sources: Sequence[Source]) -> tuple[Card, ...]:
    """Give the figures to remember: of the last run of the first one's direction."""
    source = [one for one in sources if one.direction == sources[0].direction][-1]
    found = source.scored.evaluation
    whose = f" · {source.name}" if len(sources) > 1 else ""
    return tuple(
        Card(name + whose, f"{found.percent[name]:.1f}", _bounds(found.interval[name]))
        for name in _CARDS
        if name in found.percent
    )


def asked(sources: Sequence[Source], words: Words) -> Iterator[Part]:
    """Say what was asked, once for each direction."""
    for source in _one_each(sources):
        found, bundle = source.scored.evaluation, source.bundle
        pool = words[f"{'pool' if bundle else 'unknown'}_{source.direction}"].format(
            items=f"{bundle.item_count:,}" if bundle else ""
        )
        said = words[f"asked_{source.direction}"]
        yield Part(text=said.format(queries=f"{found.queries:,}", pool=pool, depth=found.top_k))
    yield Part(text=words["metric_hit"])


def method(sources: Sequence[Source], words: Words) -> Iterator[Part]:
    """Show how an answer is found."""
    flow = Figure("method", words["method_text"], _flow(sources, words))
    yield Part(text=words["method_text"], figure=flow)


def tables(sources: Sequence[Source], words: Words) -> dict[str, Table]:
    """Give the tables of what was used."""
    kinds = {"data": data_facts, "settings": setting_facts, "machine": machine_facts}
    return {key: table_of(sources, facts, words) for key, facts in kinds.items()}


def results(sources: Sequence[Source], words: Words) -> Table:
    """Put all metrics of all runs into one table, with their intervals."""
    names = dict.fromkeys(name for one in sources for name in one.scored.evaluation.percent)
    head = (f"{one.name} ({words[one.direction]})" for one in sources)
    rows = ((name, *(_figure(one, name) for one in sources)) for name in names)
    return Table((words["metric"], *head), tuple(rows))


def examples(
    source: Source, found: Sequence[Outcome], tiles: Tiles, count: int, words: Words
) -> Iterator[Part]:
    """Show queries that went well and queries that did not."""
    depth = source.scored.evaluation.top_k
    good = spread([one for one in found if one.rank == 1], count)
    bad = spread([one for one in found if one.rank is None], count)
    yield Part(
        rows=Rows(words["successes"], tiles.examples(good, {}), words["no_successes"]),
    )
    shown = tiles.examples(bad, exact_ranks(source.bundle, bad))
    yield Part(rows=Rows(words["failures"].format(depth=depth), shown, words["no_failures"]))


def errors(source: Source, words: Words) -> Iterator[Part]:
    """Compare kinds of queries."""
    percent = source.scored.evaluation.percent
    metric = next(name for name in (*_ANALYSED, *percent) if name in percent)
    found = parts(source, metric)
    yield Part(text=words["errors_text"].format(metric=metric))
    for by in dict.fromkeys(one.by for one in found):
        kinds = [one for one in found if one.by == by]
        most = sorted(kinds, key=lambda one: -one.count)[:_BARS] if len(kinds) > _BARS else kinds
        bars = (
            Bar(words.get(one.label), one.value, f"n = {one.count:,}", one.low, one.high)
            for one in most
        )
        shown = Bars(f"{metric} (%)", tuple(bars), percent[metric])
        heading = words.get(f"by_{by}")
        yield Part(heading, figure=Figure(f"{source.name}_{by}", heading, shown))


def misses(
    source: Source, found: Sequence[Outcome], tiles: Tiles, count: int, words: Words
) -> Iterator[Part]:
    """Show how close the wrong answers were."""
    yield Part(
        text=words["misses_text"].format(same=SAME),
        figure=Figure(
            f"{source.name}_ranks", words["first_right_at"], _ranks(source, found, words)
        ),
    )
    near = [one for one in found if one.rank and 1 < one.rank <= _NEAR and one.twin is None]
    yield Part(
        rows=Rows(
            words["near_misses"],
            tiles.examples(spread(near, count), {}),
            words["no_failures"],
        )
    )
    if source.bundle is None:
        yield Part(words["twins"], words["twins_unknown"])
        return
    twins = [one for one in found if one.twin is not None]
    wrong = sum(one.rank != 1 for one in found)
    said = words["twins_count"].format(wrong=f"{wrong:,}", twins=f"{len(twins):,}")
    yield Part(rows=Rows(words["twins"], tiles.examples(spread(twins, count), {}), said))


def _figure(source: Source, name: str) -> str:
    found = source.scored.evaluation
    if name not in found.percent:
        return "–"
    return f"{found.percent[name]:.2f} {_bounds(found.interval[name])}"


def _bounds(bounds: tuple[float, float]) -> str:
    return f"[{bounds[0]:.1f}, {bounds[1]:.1f}]"


def _one_each(sources: Sequence[Source]) -> list[Source]:
    """Take the first source of each direction, or the first of those whose bundle is at hand."""
    first: dict[str, Source] = {}
    for one in sources:
        if one.direction not in first or (one.bundle and not first[one.direction].bundle):
            first[one.direction] = one
    return list(first.values())


def _ranks(source: Source, found: Sequence[Outcome], words: Words) -> Bars:
    depth = source.scored.evaluation.top_k
    edges = [(1, 1), (2, 3), (4, 5), (6, 10), (11, 100), (101, depth)]
    bands = [(low, min(high, depth)) for low, high in edges if low <= min(high, depth)]
    counts = {
        f"{low}" if low == high else f"{low}–{high}": sum(
            one.rank is not None and low <= one.rank <= high for one in found
        )
        for low, high in bands
    }
    counts[words["not_found"].format(depth=depth)] = sum(one.rank is None for one in found)
    total = max(len(found), 1)
    bars = (Bar(label, 100 * count / total, f"n = {count:,}") for label, count in counts.items())
    return Bars(words["share_of_queries"], tuple(bars))


def _flow(sources: Sequence[Source], words: Words) -> Flow:
    """Draw one run: images and texts become vectors that are compared."""
    first = _one_each(sources)[0]
    bundle, header = first.bundle, first.scored.run.header
    made = bundle.manifest if bundle else None
    model = made.model.name if made else (header.model if header else None) or words["unknown"]
    index = made.index.factory if made else (header.index if header else None) or words["unknown"]
    queries = f"{first.scored.evaluation.queries:,}"
    items = f"{bundle.item_count:,}" if bundle else None
    side = made.model.image_size if made else None
    forward = first.direction == "text_to_image"
    images, texts = (items, queries) if forward else (queries, items)
    template = made.prompt if made else header.settings.get("prompt") if header else None
    prompt = _short(str(template or words["none"]))
    return Flow(
        (
            (
                _box(words["flow_images"], n=images),
                _box(words["flow_decode"], side=side),
                words["flow_image_tower"].format(model=_short(model)),
            ),
            (
                _box(words["flow_queries" if forward else "flow_texts"], n=texts),
                words["flow_prompt"].format(prompt=prompt),
                words["flow_text_tower"].format(model=_short(model)),
            ),
        ),
        (words["flow_search"].format(index=_short(index)), words["flow_score"]),
    )


def _box(label: str, **value: str | int | None) -> str:
    """Fill a label in; where the value is not known, its first line says enough."""
    known = None not in value.values()
    return label.format(**value) if known else label.partition("\n")[0]


def _short(text: str) -> str:
    return text if len(text) <= _BOX else text[: _BOX - 1] + "…"
