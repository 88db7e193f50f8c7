"""The tables of a report that say what was used: data, settings, machine."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tusou.bundle.bundle import Bundle
from tusou_lab.report.inputs import Source
from tusou_lab.strings import Words
from tusou_lab.sweep.tables import Table

Facts = dict[str, str]


def pool_name(bundle: Bundle) -> str:
    """Name a pool without its folder, with the split after a # where there are several."""
    made = bundle.manifest.source
    return Path(made.path).name + (f"#{made.split}" if made.split else "")


def data_facts(source: Source, _: Words) -> Facts:
    """Describe queries, answers and pool."""
    found, bundle = source.scored.evaluation, source.bundle
    rows = source.scored.answers.rows
    lengths = [len(row.text) for row in rows if row.text is not None]
    correct = [sum(grade > 0 for grade in (row.grades or {}).values()) for row in rows]
    facts = {
        "answers": Path(source.answers).name,
        "queries": f"{found.queries:,}",
        "positives": f"{sum(correct) / max(len(correct), 1):.2f}",
        "without_answer": f"{found.without_answer:,}",
    }
    if lengths:
        facts["length"] = f"{min(lengths)} / {median(lengths):g} / {max(lengths)}"
    if bundle is not None:
        counts = bundle.manifest.counts
        facts["source"] = pool_name(bundle)
        facts["items"] = f"{counts.embedded:,}"
        facts["failed"] = f"{counts.failed:,}"
    if found.answers_outside_pool is not None:
        facts["outside"] = f"{found.answers_outside_pool:,}"
    return facts


def setting_facts(source: Source, words: Words) -> Facts:
    """Describe model, preprocessing and index."""
    header, bundle = source.scored.run.header, source.bundle
    facts = {}
    if header is not None:
        facts["model"] = header.model or words["unknown"]
        facts["index"] = header.index or words["unknown"]
        facts["prompt"] = str(header.settings.get("prompt") or words["none"])
        facts["precision"] = str(header.settings.get("precision") or words["unknown"])
        facts["bundle"] = header.bundle or words["unknown"]
    if bundle is not None:
        made = bundle.manifest
        facts |= {
            "model": made.model.name,
            "weights": made.model.sha256[:16],
            "dim": str(made.model.dim),
            "image_size": str(made.model.image_size),
            "preprocessing": made.preprocessing,
            "prompt": made.prompt or words["none"],
            "index": f"{made.index.factory} {made.index.tuning}".strip(),
            "bundle": bundle.version,
            "build": ", ".join(f"{name} {value}" for name, value in made.build.items()),
        }
    return facts


def machine_facts(source: Source, _: Words) -> Facts:
    """Describe where and when a run was made, as far as its header says."""
    header = source.scored.run.header
    made = header.made if header else {}
    labels = {"machine": "machine_row", "date": "date", "seconds": "seconds"}
    return {label: str(made[name]) for name, label in labels.items() if name in made}


def table_of(
    sources: Sequence[Source], facts: Callable[[Source, Words], Facts], words: Words
) -> Table:
    """Put the facts of the runs beside each other, a run a column."""
    columns = [facts(source, words) for source in sources]
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = ((words[key], *(column.get(key, "–") for column in columns)) for key in keys)
    return Table(("", *(source.name for source in sources)), tuple(rows))
