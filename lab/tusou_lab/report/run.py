"""Makes a report from files, with the commands that generate it again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from time import perf_counter

from tusou import __version__
from tusou.cli.progress import Progress
from tusou.core.hardware import describe_machine
from tusou.text.script import common_language
from tusou_lab.improve.ladder import Ladder, find_ladder, read_ladder
from tusou_lab.improve.tables import ladder_parts
from tusou_lab.report import sections
from tusou_lab.report.analysis import outcomes
from tusou_lab.report.commands import CommandWriter
from tusou_lab.report.comparison import compare_runs
from tusou_lab.report.examples import ExampleBuilder, make_thumbnail
from tusou_lab.report.facts import facts_part, machine_facts, setting_facts
from tusou_lab.report.inputs import ReportData, ReportRun, ReportSpec, read_report_data
from tusou_lab.report.metric_names import metric_name
from tusou_lab.report.model import Report, ReportFigure, ReportPart, ReportSection
from tusou_lab.report.narrative import RunFindings, abstract, exploration, improvements
from tusou_lab.report.notes import read_notes
from tusou_lab.report.page import check_output, output_paths, write_report
from tusou_lab.report.training import training
from tusou_lab.strings import Strings, strings_about, strings_in
from tusou_lab.sweep.output import read_sweep
from tusou_lab.sweep.run import SweepResult
from tusou_lab.sweep.tables import experiment_chart, experiment_tables


def make_report(
    spec: ReportSpec, out: Path, progress: Progress | None = None, *, force: bool = False
) -> dict[str, str | float]:
    """Write the page, its Markdown and its images; return the paths and the seconds it took.

    Raises OutputExists without `force`, and what `read_report_data`, `read_sweep` and
    `read_ladder` raise.
    """
    started = perf_counter()
    check_output(out, force=force)
    sweep = read_sweep(spec.sweep) if spec.sweep else None
    spec = replace(spec, ladder=spec.ladder or find_ladder(spec.runs))
    ladder = read_ladder(spec.ladder) if spec.ladder else None
    data = read_report_data(spec, progress)
    notes = read_notes(spec.notes) if spec.notes else []
    commands = list(CommandWriter(out.parent).commands(spec, data, sweep, ladder, out))
    write_report(out, _build_report(data, spec, sweep, ladder, notes, commands))
    page, markdown, _ = output_paths(out)
    seconds = round(perf_counter() - started, 2)
    return {"page": str(page), "markdown": str(markdown), "seconds": seconds}


def _build_report(
    data: ReportData,
    spec: ReportSpec,
    sweep: SweepResult | None,
    ladder: Ladder | None,
    notes: list[ReportPart],
    commands: Sequence[str],
) -> Report:
    started = perf_counter()
    runs = data.runs
    words = strings_about(strings_in(spec.language), common_language(data.texts.values()))
    findings = [RunFindings(run, outcomes(run)) for run in runs]
    settings = facts_part(runs, (setting_facts(run, words) for run in runs), words)
    parts = {
        "abstract": [ReportPart(text=abstract(findings, words))],
        "task": [*sections.task(runs, words)],
        "method": [*sections.method(runs, words)],
        "data": [*sections.data(runs, words)],
        "settings": [ReportPart(text=words[_settings_text(runs)]), settings],
        "training": [*training(runs, words)],
        "results": [*sections.results(runs, words)],
        "comparison": [*compare_runs(runs, words)],
        **_example_sections(data, findings, spec, words),
        "curves": [*_curves(sweep, words)] if sweep else [],
        "ladder": [*_ladder(ladder, words)] if ladder else [],
        "improve": [ReportPart(points=tuple(improvements(findings, sweep, words)))],
        "notes": notes,
        "code": [ReportPart(text=words["code_text"], code=key_code())],
    }
    seconds = perf_counter() - started
    text = words["report_machine"].format(machine=describe_machine(), seconds=seconds)
    machine = facts_part(runs, map(machine_facts, runs), words)
    parts["machine"] = [machine, ReportPart(text=text)]
    parts["reproduce"] = [ReportPart(text=words["reproduce_text"], commands=tuple(commands))]
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return Report(
        spec.language,
        spec.title or words["title"],
        " · ".join(run.name for run in runs),
        words["contents"],
        sections.cards(runs, words),
        tuple(ReportSection(key, words[key], tuple(parts[key])) for key in parts if parts[key]),
        words["generated_by"].format(version=__version__, date=date),
    )


def _settings_text(runs: Sequence[ReportRun]) -> str:
    """Return the key of the text about preprocessing."""
    as_cn_clip = all(run.prepares_as_cn_clip for run in runs)
    return "settings_text" if as_cn_clip else "settings_text_other"


def key_code() -> str:
    """Return the functions of the key code as they are in its file."""
    return files("tusou_lab.report").joinpath("key_code.py").read_text("utf-8").strip()


def _example_sections(
    data: ReportData, findings: Sequence[RunFindings], spec: ReportSpec, words: Strings
) -> dict[str, list[ReportPart]]:
    """Return the sections about single queries, by key."""
    parts: dict[str, list[ReportPart]] = {"examples": [], "errors": [], "misses": []}
    parts["examples"].append(ReportPart(text=words["examples_text"]))
    bundles = [bundle for bundle in data.bundles.values() if bundle.items == "images"]
    if not bundles:
        parts["examples"].append(ReportPart(text=words["no_images"]))
    find_thumbnail = cache(partial(make_thumbnail, bundles))
    for finding in findings:
        run, judged = finding.run, finding.outcomes
        builder = ExampleBuilder(run, find_thumbnail, data.texts, words, spec.examples)
        run_parts = {
            "examples": sections.examples(run, judged, builder, words),
            "errors": sections.errors(run, words),
            "misses": sections.misses(run, judged, builder, words),
        }
        for key, added in run_parts.items():
            if len(data.runs) > 1:
                parts[key].append(ReportPart(sections.run_heading(run, words)))
            parts[key] += added
    return parts


def _curves(sweep: SweepResult, words: Strings) -> Iterator[ReportPart]:
    yield ReportPart(strong=exploration(sweep, words))
    shown = partial(metric_name, words=words)
    for experiment in sweep.experiments:
        name = words[f"experiment_{experiment.name}"]
        about = words[f"about_{experiment.name}"]
        figure = None
        if len(experiment.rows) > 1:  # a single value makes no curve
            chart = experiment_chart(experiment, words, shown)
            figure = ReportFigure(f"sweep_{experiment.name}", name, chart)
        yield ReportPart(name, about, figure=figure)
        tables = experiment_tables(experiment, words, shown)
        yield from (ReportPart(table=table) for table in tables)


def _ladder(ladder: Ladder, words: Strings) -> Iterator[ReportPart]:
    for part in ladder_parts(ladder, words, partial(metric_name, words=words)):
        yield ReportPart(part.heading, part.text, points=part.points)
        yield from (ReportPart(table=table) for table in part.tables)
