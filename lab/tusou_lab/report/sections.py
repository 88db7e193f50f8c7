"""Sections of a report about its runs."""

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from tusou_lab.charts.plots import ChartBar, bar_chart, flow_chart
from tusou_lab.report.analysis import DUPLICATE_COSINE, QueryOutcome
from tusou_lab.report.examples import ExampleBuilder
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.model import ReportFigure, ReportPart
from tusou_lab.strings import Strings
from tusou_lab.sweep.tables import ResultTable

_CARD_METRICS = ("hit@1", "hit@5", "hit@10", "mean_recall")
_SLICE_METRICS = ("mean_recall", "hit@1")  # the first that the rankings are deep enough for
_LAST_NEAR_MISS = 5  # rank
_MAX_BARS = 12  # of one chart; the largest slices are shown
_BOX_CHARACTERS = 11  # per line of a box


def cards(runs: Sequence[ReportRun]) -> tuple[tuple[str, str, str], ...]:
    """Return the headline numbers of the last run in the direction of the first.

    Each is a label, the percentage, and its interval.
    """
    run = [run for run in runs if run.direction == runs[0].direction][-1]
    evaluation = run.scored.evaluation
    suffix = f" · {run.name}" if len(runs) > 1 else ""
    return tuple(
        (
            name + suffix,
            f"{evaluation.percent[name]:.1f}",
            _format_interval(evaluation.interval[name]),
        )
        for name in _CARD_METRICS
        if name in evaluation.percent
    )


def run_heading(run: ReportRun, words: Strings) -> str:
    """Return the name of a run with its direction."""
    return words["run_heading"].format(name=run.name, direction=words[run.direction])


def task(runs: Sequence[ReportRun], words: Strings) -> Iterator[ReportPart]:
    """Describe the task of each direction, and the metrics."""
    for run in _first_by_direction(runs):
        evaluation, bundle = run.scored.evaluation, run.bundle
        pool = words[f"{'pool' if bundle else 'unknown_pool'}_{run.direction}"].format(
            items=f"{bundle.item_count:,}" if bundle else ""
        )
        text = words[f"task_{run.direction}"].format(
            queries=f"{evaluation.queries:,}", pool=pool, depth=f"{evaluation.top_k:,}"
        )
        yield ReportPart(text=text)
    yield ReportPart(text=words["metric_definitions"])


def method(runs: Sequence[ReportRun], words: Strings) -> ReportPart:
    """Describe the search pipeline by that of the first run."""
    run = _first_by_direction(runs)[0]
    bundle, header = run.bundle, run.scored.run.header
    manifest = bundle.manifest if bundle else None
    unknown = words["unknown"]
    model = manifest.model.name if manifest else (header.model if header else None) or unknown
    index = manifest.index.factory if manifest else (header.index if header else None) or unknown
    queries = f"{run.scored.evaluation.queries:,}"
    items = f"{bundle.item_count:,}" if bundle else None
    side = manifest.model.image_size if manifest else None
    from_text = run.direction == "text_to_image"
    images, texts = (items, queries) if from_text else (queries, items)
    template = manifest.prompt if manifest else header.settings.get("prompt") if header else None
    prompt = _shorten(str(template or words["none"]))
    chart = flow_chart(
        (
            (
                _box_label(words["flow_images"], n=images),
                _box_label(words["flow_decode"], side=side),
                words["flow_image_tower"].format(model=_shorten(model)),
            ),
            (
                _box_label(words["flow_queries" if from_text else "flow_texts"], n=texts),
                words["flow_prompt"].format(prompt=prompt),
                words["flow_text_tower"].format(model=_shorten(model)),
            ),
        ),
        (words["flow_search"].format(index=_shorten(index)), words["flow_score"]),
    )
    text = words["method_text"]
    return ReportPart(text=text, figure=ReportFigure("method", text, chart))


def results(runs: Sequence[ReportRun], words: Strings) -> ResultTable:
    """Return a table of all metrics of all runs, with their intervals."""
    names = dict.fromkeys(name for run in runs for name in run.scored.evaluation.percent)
    head = (run_heading(run, words) for run in runs)
    rows = ((name, *(_format_metric(run, name) for run in runs)) for name in names)
    return ResultTable((words["metric"], *head), tuple(rows))


def examples(
    run: ReportRun, outcomes: Sequence[QueryOutcome], builder: ExampleBuilder, words: Strings
) -> Iterator[ReportPart]:
    """Show queries whose first result is correct, and queries without a correct result."""
    depth = f"{run.scored.evaluation.top_k:,}"
    rows = builder.build([outcome for outcome in outcomes if outcome.rank == 1])
    yield ReportPart(words["successes"], rows=rows, empty=words["no_successes"])
    failures = [outcome for outcome in outcomes if outcome.rank is None]
    rows = builder.build(failures, exact=True)
    heading = words["failures"].format(depth=depth)
    yield ReportPart(heading, rows=rows, empty=words["no_failures"])


def errors(run: ReportRun, words: Strings) -> Iterator[ReportPart]:
    """Compare the kinds of queries."""
    evaluation = run.scored.evaluation
    percent = evaluation.percent
    metric = next(name for name in (*_SLICE_METRICS, *percent) if name in percent)
    yield ReportPart(text=words["errors_text"].format(metric=metric))
    for by in dict.fromkeys(score.by for score in evaluation.slices):
        scores = [score for score in evaluation.slices if score.by == by]
        if len(scores) > _MAX_BARS:
            scores = sorted(scores, key=lambda score: -score.queries)[:_MAX_BARS]
        bars = [
            ChartBar(
                words.get(score.label, score.label),
                score.percent[metric],
                f"n = {score.queries:,}",
                score.interval[metric],
            )
            for score in scores
        ]
        chart = bar_chart(f"{metric} (%)", bars, percent[metric])
        heading = words.get(f"by_{by}", by)
        yield ReportPart(heading, figure=ReportFigure(f"{run.name}_{by}", heading, chart))


def misses(
    run: ReportRun, outcomes: Sequence[QueryOutcome], builder: ExampleBuilder, words: Strings
) -> Iterator[ReportPart]:
    """Show the ranks of the first correct results, near misses, and duplicates."""
    chart = _rank_chart(run, outcomes, words)
    yield ReportPart(
        text=words["misses_text"].format(same=DUPLICATE_COSINE),
        figure=ReportFigure(f"{run.name}_ranks", words["first_correct_rank"], chart),
    )
    near_misses = [
        outcome
        for outcome in outcomes
        if outcome.rank and 1 < outcome.rank <= _LAST_NEAR_MISS and outcome.duplicated is None
    ]
    rows = builder.build(near_misses)
    yield ReportPart(words["near_misses"], rows=rows, empty=words["no_near_misses"])
    if run.bundle is None:
        yield ReportPart(words["duplicates"], words["duplicates_unknown"])
        return
    duplicates = [outcome for outcome in outcomes if outcome.duplicated is not None]
    wrong = sum(outcome.rank != 1 for outcome in outcomes)
    summary = words["duplicates_count"].format(
        wrong=f"{wrong:,}", duplicates=f"{len(duplicates):,}"
    )
    rows = builder.build(duplicates)
    yield ReportPart(words["duplicates"], rows=rows, empty=summary)


def _format_metric(run: ReportRun, name: str) -> str:
    evaluation = run.scored.evaluation
    if name not in evaluation.percent:
        return "–"
    return f"{evaluation.percent[name]:.2f} {_format_interval(evaluation.interval[name])}"


def _format_interval(bounds: tuple[float, float]) -> str:
    return f"[{bounds[0]:.1f}, {bounds[1]:.1f}]"


def _first_by_direction(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Return the first run of each direction, preferably one whose bundle is available."""
    first: dict[str, ReportRun] = {}
    for run in runs:
        if run.direction not in first or (run.bundle and not first[run.direction].bundle):
            first[run.direction] = run
    return list(first.values())


def _rank_chart(run: ReportRun, outcomes: Sequence[QueryOutcome], words: Strings) -> Figure:
    depth = run.scored.evaluation.top_k
    edges = [(1, 1), (2, 3), (4, 5), (6, 10), (11, 100), (101, depth)]
    bands = [(low, min(high, depth)) for low, high in edges if low <= min(high, depth)]
    counts = {
        f"{low}" if low == high else f"{low}–{high}": sum(
            outcome.rank is not None and low <= outcome.rank <= high for outcome in outcomes
        )
        for low, high in bands
    }
    beyond = words["rank_beyond"].format(depth=f"{depth:,}")
    counts[beyond] = sum(outcome.rank is None for outcome in outcomes)
    total = max(len(outcomes), 1)
    bars = [
        ChartBar(label, 100 * count / total, f"n = {count:,}") for label, count in counts.items()
    ]
    return bar_chart(words["share_of_queries"], bars)


def _box_label(label: str, **value: str | int | None) -> str:
    """Fill in the value, or return the first line alone if the value is not known."""
    is_known = None not in value.values()
    return label.format(**value) if is_known else label.partition("\n")[0]


def _shorten(text: str) -> str:
    return text if len(text) <= _BOX_CHARACTERS else text[: _BOX_CHARACTERS - 1] + "…"
