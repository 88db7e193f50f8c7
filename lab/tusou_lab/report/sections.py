"""Sections of a report about its runs."""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from matplotlib.figure import Figure

from tusou_lab.charts.plots import ChartBar, bar_chart, flow_chart
from tusou_lab.report.analysis import DUPLICATE_COSINE, QueryOutcome
from tusou_lab.report.examples import ExampleBuilder
from tusou_lab.report.facts import data_facts, facts_part, split_table
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.metric_names import HEADLINE_PREFIXES, metric_name
from tusou_lab.report.model import ReportFigure, ReportPart
from tusou_lab.report.narrative import describe_slices, english_warning, slice_metric
from tusou_lab.strings import Strings
from tusou_lab.sweep.tables import ResultTable

_CARD_METRICS = ("hit@1", "hit@5", "hit@10", "mean_recall")
_LAST_NEAR_MISS = 5  # rank
_MAX_BARS = 12  # of one chart; the largest slices are shown
_BOX_CHARACTERS = 11  # per line of a box


def cards(runs: Sequence[ReportRun], words: Strings) -> tuple[tuple[str, str, str], ...]:
    """Return the headline numbers of the last run in the direction of the first.

    Each is a label, the percentage, and its interval.
    """
    run = [run for run in runs if run.direction == runs[0].direction][-1]
    evaluation = run.scored.evaluation
    suffix = f" · {run.name}" if len(runs) > 1 else ""
    return tuple(
        (
            metric_name(name, words) + suffix,
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


def method(runs: Sequence[ReportRun], words: Strings) -> Iterator[ReportPart]:
    """Describe contrastive learning, the shared space, and the pipeline of the first run."""
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
    template = (
        manifest.prompt_text if manifest else header.settings.get("prompt") if header else None
    )
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
    tower = words["text_tower_chinese_clip" if run.is_chinese_clip else "text_tower_other"]
    space = words["method_space_text"].format(text_tower=tower)
    yield ReportPart(words["method_space"], space)
    yield ReportPart(words["method_contrastive"], words["method_contrastive_text"])
    text = words["method_text"]
    yield ReportPart(words["method_search"], text, figure=ReportFigure("method", text, chart))


def data(runs: Sequence[ReportRun], words: Strings) -> Iterator[ReportPart]:
    """Describe the data, its splits, and captions in a language the model hardly knows."""
    yield facts_part(runs, map(data_facts, runs), words)
    for source in dict.fromkeys(run.answers for run in runs):
        if table := split_table(source, words):
            yield ReportPart(words["splits"], table=table)
            break
    for warning in dict.fromkeys(english_warning(run, words) for run in runs):
        if warning:
            yield ReportPart(strong=warning)


def results(runs: Sequence[ReportRun], words: Strings) -> Iterator[ReportPart]:
    """Show Recall@K of all runs with intervals, and the other metrics in a table of their own."""
    names = list(dict.fromkeys(name for run in runs for name in run.scored.evaluation.percent))
    main = [name for name in names if name.startswith(HEADLINE_PREFIXES)]
    # With one correct item per query the share of correct items found is Recall@K again.
    several = any(len(row.correct) > 1 for run in runs for row in run.scored.judgments.rows)
    others = [
        name for name in names if name not in main and (several or not name.startswith("recall@"))
    ]
    yield ReportPart(table=_metrics_table(runs, main, words))
    yield ReportPart(
        words["other_metrics"],
        words["other_metrics_text"],
        table=_metrics_table(runs, others, words),
    )


def _metrics_table(runs: Sequence[ReportRun], names: Sequence[str], words: Strings) -> ResultTable:
    head = (run_heading(run, words) for run in runs)
    rows = (
        (metric_name(name, words), *(_format_metric(run, name) for run in runs)) for name in names
    )
    return ResultTable((words["metric"], *head), tuple(rows))


def examples(
    run: ReportRun, outcomes: Sequence[QueryOutcome], builder: ExampleBuilder, words: Strings
) -> Iterator[ReportPart]:
    """Show queries whose first result is correct, and queries without a correct result.

    Without such failures, the queries whose correct result has the worst rank are shown.
    """
    depth = f"{run.scored.evaluation.top_k:,}"
    rows = builder.build([outcome for outcome in outcomes if outcome.rank == 1])
    yield ReportPart(words["successes"], rows=rows, empty=words["no_successes"])
    failures = [outcome for outcome in outcomes if outcome.rank is None]
    heading = words["failures"].format(depth=depth)
    if failures:
        yield ReportPart(heading, rows=builder.build(failures, exact=True))
        return
    behind = [(-outcome.rank, outcome) for outcome in outcomes if outcome.rank and outcome.rank > 1]
    worst = [outcome for _, outcome in sorted(behind, key=itemgetter(0))][: builder.count]
    yield ReportPart(heading, empty=words["no_failures"])
    yield ReportPart(words["worst_ranks"], rows=builder.build(worst), empty=words["all_first"])


def errors(run: ReportRun, words: Strings) -> Iterator[ReportPart]:
    """Compare the kinds of queries."""
    evaluation = run.scored.evaluation
    percent = evaluation.percent
    metric = slice_metric(evaluation)
    shown = metric_name(metric, words)
    if not evaluation.slices:
        yield ReportPart(empty=words["no_slices"])
        return
    yield ReportPart(text=words["errors_text"].format(metric=shown))
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
        chart = bar_chart(f"{shown} (%)", bars, percent[metric])
        heading = words.get(f"by_{by}", by)
        figure = ReportFigure(f"{run.name}_{by}", heading, chart)
        yield ReportPart(heading, describe_slices(evaluation, by, words), figure=figure)


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
