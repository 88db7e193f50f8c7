"""Sentences of a report that are made from its figures: abstract, analysis, ways to improve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tusou.evaluation.metrics import headline
from tusou_lab.evaluate.scoring import Evaluation, SliceScore
from tusou_lab.report.analysis import QueryOutcome
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.metric_names import metric_name
from tusou_lab.report.training import training_records
from tusou_lab.strings import Strings
from tusou_lab.sweep.experiments import HEADLINE
from tusou_lab.sweep.run import SweepResult

_LEAST_QUERIES = 5  # of a slice that is called the weakest, if there is such a slice
_ABSTRACT = (100, 150)  # characters, as exercise sheets ask for
_NEAR = 5  # rank of a near miss
_MOSTLY = 0.5
_LEAST_DIFFERENCE = 0.5  # points; smaller differences are not described


@dataclass(frozen=True, slots=True)
class RunFindings:
    """A run with the outcomes of its queries."""

    run: ReportRun
    outcomes: Sequence[QueryOutcome]

    @property
    def near_share(self) -> float | None:
        """The percentage of wrong first results with a correct item up to rank 5."""
        wrong = [outcome for outcome in self.outcomes if outcome.rank != 1]
        near = sum(outcome.rank is not None and outcome.rank <= _NEAR for outcome in wrong)
        return 100 * near / len(wrong) if wrong else None


def slice_metric(evaluation: Evaluation) -> str:
    """Return the metric that slices are compared by."""
    return headline(evaluation.percent)


def weakest_slice(evaluation: Evaluation, by: str | None = None) -> SliceScore | None:
    """Return the slice with the lowest score, if it is half a point or more below the mean."""
    metric = slice_metric(evaluation)
    scores = [score for score in evaluation.slices if by in (None, score.by)]
    large = [score for score in scores if score.queries >= _LEAST_QUERIES] or scores
    worst = min(large, key=lambda score: score.percent[metric], default=None)
    if worst is None or evaluation.percent[metric] - worst.percent[metric] < _LEAST_DIFFERENCE:
        return None
    return worst


def describe_slices(evaluation: Evaluation, by: str, words: Strings) -> str:
    """Name the weakest and the best kind of queries, and how far the weakest falls behind."""
    metric, worst = slice_metric(evaluation), weakest_slice(evaluation, by)
    if worst is None:
        return words["slices_equal"]
    mean = evaluation.percent[metric]
    best = max(
        (score for score in evaluation.slices if score.by == by),
        key=lambda score: score.percent[metric],
    )
    certain = worst.interval[metric][1] < mean
    return (
        words["slices_differ"].format(
            worst=slice_label(worst, words),
            metric=metric_name(metric, words),
            value=worst.percent[metric],
            queries=f"{worst.queries:,}",
            difference=mean - worst.percent[metric],
            best=slice_label(best, words),
            best_value=best.percent[metric],
        )
        + words["slices_certain" if certain else "slices_uncertain"]
    )


def slice_label(score: SliceScore, words: Strings) -> str:
    """Return a slice as a noun phrase."""
    label = words.get(score.label, score.label)
    return words[f"slice_{score.by}"].format(label=label)


def abstract(findings: Sequence[RunFindings], words: Strings) -> str:
    """Return 100 to 150 characters (in English: a few sentences) made from the figures."""
    sentences = _abstract_sentences(findings, words)
    least, most = (int(float(words["abstract_scale"]) * bound) for bound in _ABSTRACT)
    text = next(sentences) + next(sentences)
    for sentence in sentences:
        if len(text) < least or len(text) + len(sentence) <= most:
            text += sentence if len(text) + len(sentence) <= most else ""
    return text.strip()


def _abstract_sentences(findings: Sequence[RunFindings], words: Strings) -> Iterator[str]:
    direction = findings[0].run.direction
    last = [finding for finding in findings if finding.run.direction == direction][-1]
    run, evaluation = last.run, last.run.scored.evaluation
    header = run.scored.run.header
    model = run.bundle.manifest.model.name if run.bundle else (header and header.model) or ""
    yield words["abstract_method"].format(model=model[:16] or words["abstract_model"])
    names = [name for name in ("hit@1", "hit@5", "hit@10") if name in evaluation.percent]
    depths = "/".join(name.partition("@")[2] for name in names)
    values = "/".join(f"{evaluation.percent[name]:.1f}" for name in names)
    pool = words["abstract_pool"].format(items=f"{run.bundle.item_count:,}") if run.bundle else ""
    main = slice_metric(evaluation)
    yield words["abstract_result"].format(
        pool=pool,
        queries=f"{evaluation.queries:,}",
        direction=words[run.direction],
        depths=depths,
        values=values,
        mean=f"{evaluation.percent[main]:.1f}",
    )
    for finding in findings:
        if finding.run.direction != run.direction:
            percent = finding.run.scored.evaluation.percent
            yield words["abstract_other"].format(
                direction=words[finding.run.direction], mean=f"{percent[main]:.1f}"
            )
            break
    if worst := weakest_slice(evaluation):
        difference = evaluation.percent[main] - worst.percent[main]
        yield words["abstract_weak"].format(
            worst=slice_label(worst, words), difference=f"{difference:.1f}"
        )
    if last.near_share is not None:
        yield words["abstract_near"].format(share=f"{last.near_share:.0f}")
    yield words["abstract_intervals"]
    yield words["abstract_commands"]
    yield words["abstract_examples"]
    yield words["abstract_same"]


def english_warning(run: ReportRun, words: Strings) -> str:
    """Return a sentence if most queries are in Latin letters, which the models hardly know."""
    texts = [row.text for row in run.scored.judgments.rows if row.text]
    latin = sum(text.isascii() and any(map(str.isalpha, text)) for text in texts)
    if not texts or latin / len(texts) <= _MOSTLY or not run.is_chinese_clip:
        return ""
    return words["english_warning"].format(share=100 * latin / len(texts))


def best_prompt(sweep: SweepResult) -> tuple[str, float] | None:
    """Return the prompt that scores best, and its gain over the base in points; None if none gains.

    The base is the prompt of the bundle.
    """
    rows = next((each.rows for each in sweep.experiments if each.name == "prompt"), ())
    base = next((row for row in rows if row.label == sweep.base["prompt"]), None)
    best = max(rows, key=lambda row: row.percent[HEADLINE], default=None)
    if base is None or best is None or best.percent[HEADLINE] <= base.percent[HEADLINE]:
        return None
    return best.label, best.percent[HEADLINE] - base.percent[HEADLINE]


def exploration(sweep: SweepResult, words: Strings) -> str:
    """Summarise the sweep in two sentences."""
    prompt = best_prompt(sweep)
    if prompt is None:
        sentences = words["explored_no_prompt"]
    else:
        label = words["ensemble"] if prompt[0] == "ensemble" else prompt[0]
        sentences = words["explored_prompt"].format(prompt=label, gain=prompt[1])
    pools = next((each.rows for each in sweep.experiments if each.name == "pool"), ())
    if len(pools) > 1:
        first, last = pools[0], pools[-1]
        sentences += words["explored_pool"].format(
            small=first.label,
            large=last.label,
            small_value=first.percent[HEADLINE],
            large_value=last.percent[HEADLINE],
        )
    return words["explored"] + sentences


def improvements(
    findings: Sequence[RunFindings], sweep: SweepResult | None, words: Strings
) -> Iterator[str]:
    """Yield the ways to improve that the figures suggest."""
    for finding in findings:
        run, evaluation = finding.run, finding.run.scored.evaluation
        place = words["improve_in"].format(run=run.name) if len(findings) > 1 else ""
        if worst := weakest_slice(evaluation):
            yield place + words["improve_slice"].format(worst=slice_label(worst, words))
        if finding.near_share is not None and finding.near_share >= 100 * _MOSTLY:
            yield place + words["improve_rerank"].format(share=finding.near_share)
        from_text = run.direction == "text_to_image"
        if from_text and any(outcome.duplicated is not None for outcome in finding.outcomes):
            yield place + words["improve_duplicates"]
        if english_warning(run, words):
            yield place + words["improve_english"]
    if sweep and (prompt := best_prompt(sweep)) and prompt[0] != "ensemble":
        yield words["improve_prompt"].format(prompt=prompt[0], gain=prompt[1])
    records = [record for finding in findings for record in training_records(finding.run).values()]
    if not records:
        yield words["improve_train"]
    elif any(0 < record.best_epoch == len(record.epochs) for record in records):
        yield words["improve_epochs"]
    else:
        yield words["improve_overfit"]
    is_chinese_clip = all(finding.run.is_chinese_clip for finding in findings)
    yield words["improve_model" if is_chinese_clip else "improve_model_other"]
