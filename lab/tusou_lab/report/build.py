"""Assembles a report from scored runs, the bundles they searched, and a sweep."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from tusou import __version__
from tusou.core.hardware import describe_machine
from tusou_lab.report import sections
from tusou_lab.report.analysis import outcomes
from tusou_lab.report.comparison import compare_runs
from tusou_lab.report.examples import ExampleBuilder
from tusou_lab.report.inputs import ReportData
from tusou_lab.report.model import Report, ReportFigure, ReportPart, ReportSection
from tusou_lab.report.thumbnails import ThumbnailCache
from tusou_lab.strings import Language, Translator
from tusou_lab.sweep.run import SweepResult
from tusou_lab.sweep.tables import experiment_chart, experiment_tables


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """How a report is presented."""

    title: str | None = None
    language: Language = "zh"
    examples: int = 5  # rows of images under each heading


def build_report(
    data: ReportData,
    spec: ReportSpec,
    sweep: SweepResult | None = None,
    commands: Sequence[str] = (),
) -> Report:
    """Build every section; `commands` are those that generate the report again."""
    started = perf_counter()
    words = Translator(spec.language)
    runs = data.runs
    run_sections = dict(_run_sections(data, spec, words))
    tables = sections.fact_tables(runs, words)
    curves = tuple(_curves(sweep, words)) if sweep else ()
    closing = {
        "curves": curves,
        "machine": (
            ReportPart(table=tables["machine"]),
            ReportPart(
                text=words["report_machine"].format(
                    machine=describe_machine(), seconds=perf_counter() - started
                )
            ),
        ),
        "reproduce": (ReportPart(text=words["reproduce_text"], commands=tuple(commands)),),
    }
    parts_by_key = {
        "task": tuple(sections.task(runs, words)),
        "method": tuple(sections.method(runs, words)),
        "data": (ReportPart(table=tables["data"]),),
        "settings": (ReportPart(table=tables["settings"]),),
        **run_sections,
        **closing,
    }
    return Report(
        spec.language,
        spec.title or words["title"],
        " · ".join(run.name for run in runs),
        words["contents"],
        sections.cards(runs),
        tuple(
            ReportSection(key, words[key], parts) for key, parts in parts_by_key.items() if parts
        ),
        words["generated_by"].format(
            version=__version__, date=datetime.now(UTC).strftime("%Y-%m-%d")
        ),
    )


def _run_sections(
    data: ReportData, spec: ReportSpec, words: Translator
) -> Iterator[tuple[str, tuple[ReportPart, ...]]]:
    """Yield the sections about the results of the runs, by key."""
    thumbnails = ThumbnailCache(data.bundles)
    parts: dict[str, list[ReportPart]] = {"examples": [], "errors": [], "misses": []}
    parts["examples"].append(ReportPart(text=words["examples_text"]))
    if not thumbnails.has_images:
        parts["examples"].append(ReportPart(text=words["no_images"]))
    for run in data.runs:
        judged = outcomes(run)
        builder = ExampleBuilder(run, thumbnails, data.texts, words)
        heading = sections.run_heading(run, words)
        run_parts = {
            "examples": sections.examples(run, judged, builder, spec.examples, words),
            "errors": sections.errors(run, words),
            "misses": sections.misses(run, judged, builder, spec.examples, words),
        }
        for key, added in run_parts.items():
            parts[key] += [ReportPart(heading), *added] if len(data.runs) > 1 else [*added]
    yield "results", (ReportPart(table=sections.results(data.runs, words)),)
    yield "comparison", tuple(compare_runs(data.runs, words))
    yield from ((key, tuple(section)) for key, section in parts.items())


def _curves(sweep: SweepResult, words: Translator) -> Iterator[ReportPart]:
    for experiment in sweep.experiments:
        name = words[f"experiment_{experiment.name}"]
        about = words[f"about_{experiment.name}"]
        figure = None
        if len(experiment.rows) > 1:  # a single value makes no curve
            chart = experiment_chart(experiment, words)
            figure = ReportFigure(f"sweep_{experiment.name}", name, chart)
        yield ReportPart(name, about, figure)
        yield from (ReportPart(table=table) for table in experiment_tables(experiment, words))
