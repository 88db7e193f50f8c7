"""From the command's inputs to the files of a report, and the commands that make it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from time import perf_counter

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou_lab.report.build import ReportSpec, build_report
from tusou_lab.report.facts import pool_name
from tusou_lab.report.inputs import Material, Source, read_material
from tusou_lab.report.page import claim, places, write_page
from tusou_lab.sweep.output import read as read_sweep


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a report is made from, as it was given."""

    runs: tuple[Path, ...]
    answers: tuple[str, ...]  # files, or DATA#SPLIT
    bundles: tuple[Path, ...] = ()
    sweep: Path | None = None


def make_report(
    inputs: Inputs,
    spec: ReportSpec,
    out: Path,
    watcher: Progress | None = None,
    *,
    force: bool = False,
) -> dict[str, str | float]:
    """Write the page, its Markdown twin and the twin's images; say where, and how long it took.

    Raises OutputExists without `force`, and what `read_material` and `read_sweep` raise.
    """
    started = perf_counter()
    claim(out, force=force)
    sweep = read_sweep(inputs.sweep) if inputs.sweep else None
    material = read_material(inputs.runs, inputs.answers, inputs.bundles, watcher)
    report = build_report(material, spec, sweep, list(_commands(inputs, material, spec, out)))
    write_page(out, report)
    page, twin, _ = places(out)
    seconds = round(perf_counter() - started, 2)
    return {"page": str(page), "markdown": str(twin), "seconds": seconds}


def _commands(inputs: Inputs, material: Material, spec: ReportSpec, out: Path) -> Iterator[str]:
    """Write what to type, with every file named without its folder."""
    roots = {
        Bundle.open(path).version: path for path in (*inputs.bundles, *inputs.runs) if path.is_dir()
    }
    for bundle in material.bundles:
        yield _index(bundle, roots[bundle.version].name)
    for source in material.sources:
        yield from _search(source, roots)
    if inputs.sweep:
        root = roots.get(read_sweep(inputs.sweep).bundle)
        given = root.name if root else "BUNDLE"
        answers, kept = quote(Path(inputs.answers[0]).name), quote(inputs.sweep.name)
        yield f"tusou sweep {quote(given)} --answers {answers} --out {kept}"
    yield _report(inputs, spec, out)


def _index(bundle: Bundle, name: str) -> str:
    made = bundle.manifest
    pool, model = pool_name(bundle), Path(made.model.location).name
    prompt = f" --prompt {quote(made.prompt)}" if made.prompt else ""
    return f"tusou index {quote(pool)} --out {quote(name)} --model {quote(model)}{prompt}"


def _search(source: Source, roots: dict[str, Path]) -> Iterator[str]:
    if source.bundle is None or source.path.is_dir():
        return
    searched = quote(roots[source.bundle.version].name)
    answers, kept = quote(Path(source.answers).name), quote(source.path.name)
    header = source.scored.run.header
    if header is None:
        yield f"tusou serve {searched} &"
        yield f"tusou replay {answers} --out {kept}"
    else:
        depth = header.settings.get("top_k", source.scored.evaluation.top_k)
        yield f"tusou evaluate {searched} --answers {answers} --top-k {depth} --save {kept}"


def _report(inputs: Inputs, spec: ReportSpec, out: Path) -> str:
    options = [f"--answers {quote(Path(one).name)}" for one in inputs.answers]
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
