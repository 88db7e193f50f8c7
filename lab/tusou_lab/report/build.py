"""Puts a report together, from scored runs, the bundles they searched, and a sweep."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from tusou import __version__
from tusou.core.hardware import describe_machine
from tusou_lab.report import sections
from tusou_lab.report.analysis import outcomes
from tusou_lab.report.comparison import comparisons
from tusou_lab.report.examples import Tiles
from tusou_lab.report.inputs import Material
from tusou_lab.report.model import Figure, Part, Report, Section
from tusou_lab.report.strings import REPORT
from tusou_lab.report.thumbnails import Gallery
from tusou_lab.strings import SWEEP, Language, Words
from tusou_lab.sweep.run import Sweep
from tusou_lab.sweep.tables import chart, tables


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """How a report is to look."""

    title: str | None = None
    language: Language = "zh"
    examples: int = 5  # rows of images under each heading


def build_report(
    material: Material,
    spec: ReportSpec,
    sweep: Sweep | None = None,
    commands: Sequence[str] = (),
) -> Report:
    """Write every section; `commands` make the report again."""
    started = perf_counter()
    words = Words(spec.language, SWEEP, REPORT)
    sources = material.sources
    written = dict(_about_runs(material, spec, words))
    facts = sections.tables(sources, words)
    curves = tuple(_curves(sweep, words)) if sweep else ()
    ending = {
        "curves": curves,
        "machine": (
            Part(table=facts["machine"]),
            Part(text=f"{words['machine_row']}: {describe_machine()}"),
            Part(text=f"{words['report_seconds']}: {perf_counter() - started:.1f}"),
        ),
        "reproduce": (Part(text=words["reproduce_text"], commands=tuple(commands)),),
    }
    plan = {
        "asked": tuple(sections.asked(sources, words)),
        "method": tuple(sections.method(sources, words)),
        "data": (Part(table=facts["data"]),),
        "settings": (Part(table=facts["settings"]),),
        **written,
        **ending,
    }
    return Report(
        spec.language,
        spec.title or words["title"],
        " · ".join(one.name for one in sources),
        words["contents"],
        sections.cards(sources),
        tuple(Section(key, words[key], found) for key, found in plan.items() if found),
        words["made_by"].format(version=__version__, date=datetime.now(UTC).strftime("%Y-%m-%d")),
    )


def _about_runs(
    material: Material, spec: ReportSpec, words: Words
) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """Write the sections that show what each run found."""
    gallery = Gallery(material.bundles)
    parts: dict[str, list[Part]] = {"examples": [], "errors": [], "misses": []}
    parts["examples"].append(Part(text=words["examples_text"]))
    if not gallery:
        parts["examples"].append(Part(text=words["no_images"]))
    for source in material.sources:
        found = outcomes(source)
        tiles = Tiles(source, gallery, material.texts, words)
        heading = f"{source.name} ({words[source.direction]})"
        written = {
            "examples": sections.examples(source, found, tiles, spec.examples, words),
            "errors": sections.errors(source, words),
            "misses": sections.misses(source, found, tiles, spec.examples, words),
        }
        for key, new in written.items():
            parts[key] += [Part(heading), *new] if len(material.sources) > 1 else [*new]
    yield "results", (Part(table=sections.results(material.sources, words)),)
    yield "comparison", tuple(comparisons(material.sources, words))
    yield from ((key, tuple(found)) for key, found in parts.items())


def _curves(sweep: Sweep, words: Words) -> Iterator[Part]:
    for question in sweep.questions:
        name = words[f"question_{question.name}"]
        about = words[f"about_{question.name}"]
        drawn = len(question.rows) > 1  # of one setting there is nothing to see
        figure = Figure(f"sweep_{question.name}", name, chart(question, words)) if drawn else None
        yield Part(name, about, figure)
        yield from (Part(table=table) for table in tables(question, words))
