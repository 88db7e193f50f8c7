"""Makes a report from files, with the commands that generate it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from time import perf_counter

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou_lab.report.build import ReportSpec, build_report
from tusou_lab.report.facts import pool_name
from tusou_lab.report.inputs import ReportData, ReportRun, read_report_data
from tusou_lab.report.page import check_output, output_paths, write_report
from tusou_lab.sweep.output import read_sweep
from tusou_lab.sweep.run import SweepResult


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """The files that a report is made from."""

    runs: tuple[Path, ...]
    answers: tuple[str, ...]  # files, or DATA#SPLIT
    bundles: tuple[Path, ...] = ()
    sweep: Path | None = None


def make_report(
    inputs: ReportInputs,
    spec: ReportSpec,
    out: Path,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> dict[str, str | float]:
    """Write the page, its Markdown and its images; return the paths and the seconds it took.

    Raises OutputExists without `force`, and what `read_report_data` and `read_sweep` raise.
    """
    started = perf_counter()
    check_output(out, force=force)
    sweep = read_sweep(inputs.sweep) if inputs.sweep else None
    data = read_report_data(inputs.runs, inputs.answers, inputs.bundles, progress)
    commands = list(_commands(inputs, data, sweep, spec, out))
    write_report(out, build_report(data, spec, sweep, commands))
    page, markdown, _ = output_paths(out)
    seconds = round(perf_counter() - started, 2)
    return {"page": str(page), "markdown": str(markdown), "seconds": seconds}


def _commands(
    inputs: ReportInputs,
    data: ReportData,
    sweep: SweepResult | None,
    spec: ReportSpec,
    out: Path,
) -> Iterator[str]:
    """Yield the commands that generate the report, with files named without their folders."""
    roots = {
        Bundle.open(path).version: path for path in (*inputs.bundles, *inputs.runs) if path.is_dir()
    }
    for bundle in data.bundles:
        yield _index_command(bundle, roots[bundle.version].name)
    for run in data.runs:
        yield from _search_commands(run, roots)
    if inputs.sweep and sweep:
        root = roots.get(sweep.bundle)
        bundle_name = root.name if root else "BUNDLE"
        answers, folder = quote(Path(inputs.answers[0]).name), quote(inputs.sweep.name)
        flag = "" if sweep.base["interpret"] else " --no-interpret"
        yield f"tusou sweep {quote(bundle_name)} --answers {answers}{flag} --out {folder}"
    yield _report_command(inputs, spec, out)


def _index_command(bundle: Bundle, name: str) -> str:
    manifest = bundle.manifest
    pool, model = pool_name(bundle), Path(manifest.model.location).name
    index = str(manifest.build.get("index", "auto"))
    options = f" --index {quote(index)}" if index != "auto" else ""
    options += f" --prompt {quote(manifest.prompt)}" if manifest.prompt else ""
    return f"tusou index {quote(pool)} --out {quote(name)} --model {quote(model)}{options}"


def _search_commands(run: ReportRun, roots: dict[str, Path]) -> Iterator[str]:
    if run.bundle is None or run.path.is_dir():
        return
    bundle = quote(roots[run.bundle.version].name)
    answers, out = quote(Path(run.answers).name), quote(run.path.name)
    header = run.scored.run.header
    if header is None:
        yield f"tusou serve {bundle} &"
        yield f"tusou replay {answers} --out {out}"
    else:
        depth = header.settings.get("top_k", run.scored.evaluation.top_k)
        flag = "" if run.interpreted else " --no-interpret"
        yield f"tusou evaluate {bundle} --answers {answers} --top-k {depth}{flag} --save {out}"


def _report_command(inputs: ReportInputs, spec: ReportSpec, out: Path) -> str:
    options = [f"--answers {quote(Path(answers).name)}" for answers in inputs.answers]
    options += [f"--bundle {quote(path.name)}" for path in inputs.bundles]
    options += [f"--sweep {quote(inputs.sweep.name)}"] if inputs.sweep else []
    options += [f"--title {quote(spec.title)}"] if spec.title else []
    options += [
        f"--lang {spec.language}",
        f"--examples {spec.examples}",
        f"--out {quote(out.name)}",
    ]
    runs = " ".join(quote(path.name) for path in inputs.runs)
    return f"tusou report {runs} {' '.join(options)}"
