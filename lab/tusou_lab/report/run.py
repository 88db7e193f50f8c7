"""Makes a report from files, with the commands that generate it again."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from shlex import quote
from time import perf_counter

from tusou import __version__
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.hardware import describe_machine
from tusou_lab.report import sections
from tusou_lab.report.analysis import outcomes
from tusou_lab.report.comparison import compare_runs
from tusou_lab.report.examples import ExampleBuilder, make_thumbnail
from tusou_lab.report.facts import data_facts, facts_part, machine_facts, pool_name, setting_facts
from tusou_lab.report.inputs import ReportData, ReportRun, ReportSpec, read_report_data
from tusou_lab.report.model import Report, ReportFigure, ReportPart, ReportSection
from tusou_lab.report.page import check_output, output_paths, write_report
from tusou_lab.strings import Strings, strings_in
from tusou_lab.sweep.output import read_sweep
from tusou_lab.sweep.run import SweepResult
from tusou_lab.sweep.tables import experiment_chart, experiment_tables


def make_report(
    spec: ReportSpec, out: Path, progress: Progress | None = None, *, force: bool = False
) -> dict[str, str | float]:
    """Write the page, its Markdown and its images; return the paths and the seconds it took.

    Raises OutputExists without `force`, and what `read_report_data` and `read_sweep` raise.
    """
    started = perf_counter()
    check_output(out, force=force)
    sweep = read_sweep(spec.sweep) if spec.sweep else None
    data = read_report_data(spec, progress)
    write_report(out, _build_report(data, spec, sweep, list(_commands(spec, data, sweep, out))))
    page, markdown, _ = output_paths(out)
    seconds = round(perf_counter() - started, 2)
    return {"page": str(page), "markdown": str(markdown), "seconds": seconds}


def _build_report(
    data: ReportData, spec: ReportSpec, sweep: SweepResult | None, commands: Sequence[str]
) -> Report:
    started = perf_counter()
    words, runs = strings_in(spec.language), data.runs
    parts = {
        "task": [*sections.task(runs, words)],
        "method": [sections.method(runs, words)],
        "data": [facts_part(runs, map(data_facts, runs), words)],
        "settings": [facts_part(runs, (setting_facts(run, words) for run in runs), words)],
        "results": [ReportPart(table=sections.results(runs, words))],
        "comparison": [*compare_runs(runs, words)],
        **_example_sections(data, spec, words),
        "curves": [*_curves(sweep, words)] if sweep else [],
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
        sections.cards(runs),
        tuple(ReportSection(key, words[key], tuple(parts[key])) for key in parts if parts[key]),
        words["generated_by"].format(version=__version__, date=date),
    )


def _example_sections(
    data: ReportData, spec: ReportSpec, words: Strings
) -> dict[str, list[ReportPart]]:
    """Return the sections about single queries, by key."""
    parts: dict[str, list[ReportPart]] = {"examples": [], "errors": [], "misses": []}
    parts["examples"].append(ReportPart(text=words["examples_text"]))
    bundles = [bundle for bundle in data.bundles.values() if bundle.items == "images"]
    if not bundles:
        parts["examples"].append(ReportPart(text=words["no_images"]))
    find_thumbnail = cache(partial(make_thumbnail, bundles))
    for run in data.runs:
        judged = outcomes(run)
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
    for experiment in sweep.experiments:
        name = words[f"experiment_{experiment.name}"]
        about = words[f"about_{experiment.name}"]
        figure = None
        if len(experiment.rows) > 1:  # a single value makes no curve
            chart = experiment_chart(experiment, words)
            figure = ReportFigure(f"sweep_{experiment.name}", name, chart)
        yield ReportPart(name, about, figure)
        yield from (ReportPart(table=table) for table in experiment_tables(experiment, words))


def _commands(
    spec: ReportSpec, data: ReportData, sweep: SweepResult | None, out: Path
) -> Iterator[str]:
    """Yield the commands that generate the report, with files named without their folders."""
    names = {bundle.version: path.name for path, bundle in data.bundles.items()}
    for path, bundle in data.bundles.items():
        yield _index_command(bundle, path.name)
    for run in data.runs:
        yield from _search_commands(run, names)
    if spec.sweep and sweep:
        bundle_name = names.get(sweep.bundle, "BUNDLE")
        answers, folder = quote(Path(spec.answers[0]).name), quote(spec.sweep.name)
        flag = "" if sweep.base["interpret"] else " --no-interpret"
        yield f"tusou sweep {quote(bundle_name)} --answers {answers}{flag} --out {folder}"
    options = [f"--answers {quote(Path(answers).name)}" for answers in spec.answers]
    options += [f"--bundle {quote(path.name)}" for path in spec.bundles]
    options += [f"--sweep {quote(spec.sweep.name)}"] if spec.sweep else []
    options += [f"--title {quote(spec.title)}"] if spec.title else []
    options += [
        f"--lang {spec.language}",
        f"--examples {spec.examples}",
        f"--out {quote(out.name)}",
    ]
    runs = " ".join(quote(path.name) for path in spec.runs)
    yield f"tusou report {runs} {' '.join(options)}"


def _index_command(bundle: Bundle, name: str) -> str:
    manifest = bundle.manifest
    pool, model = pool_name(bundle), Path(manifest.model.location).name
    index = str(manifest.build.get("index", "auto"))
    options = f" --index {quote(index)}" if index != "auto" else ""
    options += f" --prompt {quote(manifest.prompt)}" if manifest.prompt else ""
    return f"tusou index {quote(pool)} --out {quote(name)} --model {quote(model)}{options}"


def _search_commands(run: ReportRun, bundle_names: dict[str, str]) -> Iterator[str]:
    if run.bundle is None or run.path.is_dir():
        return
    bundle = quote(bundle_names[run.bundle.version])
    answers, out = quote(Path(run.answers).name), quote(run.path.name)
    header = run.scored.run.header
    if header is None:
        yield f"tusou serve {bundle} &"
        yield f"tusou replay {answers} --out {out}"
    else:
        depth = header.settings.get("top_k", run.scored.evaluation.top_k)
        flag = "" if run.interpreted else " --no-interpret"
        yield f"tusou evaluate {bundle} --answers {answers} --top-k {depth}{flag} --save {out}"
