"""Tables of a report about its data, settings and machine."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tusou.bundle.bundle import Bundle
from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import TusouError
from tusou.data import open_dataset, split_source
from tusou_lab.report.inputs import ReportRun
from tusou_lab.report.model import ReportPart
from tusou_lab.strings import Strings
from tusou_lab.sweep.tables import ResultTable

Facts = dict[str, str]


def pool_name(bundle: Bundle) -> str:
    """Return the name of the pool without its folder, and `#SPLIT` if it was one of several."""
    source = bundle.manifest.source
    return Path(source.path).name + (f"#{source.split}" if source.split else "")


def data_facts(run: ReportRun) -> Facts:
    """Describe queries, answers and pool."""
    evaluation, bundle = run.scored.evaluation, run.bundle
    rows = run.scored.judgments.rows
    lengths = [len(row.text) for row in rows if row.text is not None]
    correct = [sum(grade > 0 for grade in (row.grades or {}).values()) for row in rows]
    facts = {
        "answers": Path(run.answers).name,
        "queries": f"{evaluation.queries:,}",
        "positives": f"{sum(correct) / max(len(correct), 1):.2f}",
        "without_answer": f"{evaluation.without_answer:,}",
    }
    if lengths:
        facts["length"] = f"{min(lengths)} / {median(lengths):g} / {max(lengths)}"
    if bundle is not None:
        counts = bundle.manifest.counts
        facts["source"] = pool_name(bundle)
        facts["items"] = f"{counts.embedded:,}"
        facts["failed"] = f"{counts.failed:,}"
    if evaluation.answers_outside_pool is not None:
        facts["outside"] = f"{evaluation.answers_outside_pool:,}"
    return facts


def split_table(source: str, words: Strings) -> ResultTable | None:
    """Return the queries and judged images of each split of the data; None if it has one split."""
    path, _ = split_source(source)
    root = path.parent if path.name.startswith("MR_") else path
    try:
        dataset = replace(open_dataset(str(root)), only=None)
        names = dataset.splits()
    except TusouError:
        return None
    rows = []
    for name in names if len(names) > 1 else ():
        try:
            queries = dataset.queries(name)
        except TusouError:
            continue
        images = {item for query in queries for item in query.item_ids or ()}
        rows.append((name, f"{len(queries):,}", f"{len(images):,}" if images else "–"))
    head = (words["split"], words["queries"], words["judged_images"])
    return ResultTable(head, tuple(rows)) if rows else None


def setting_facts(run: ReportRun, words: Strings) -> Facts:
    """Describe model, preprocessing and index."""
    header, bundle = run.scored.run.header, run.bundle
    facts = {}
    if header is not None:
        facts["model"] = header.model or words["unknown"]
        facts["index"] = header.index or words["unknown"]
        facts["prompt"] = str(header.settings.get("prompt") or words["none"])
        if "interpret" in header.settings:
            facts["interpret"] = words["yes" if header.settings["interpret"] else "no"]
        facts["precision"] = str(header.settings.get("precision") or words["unknown"])
        facts["bundle"] = header.bundle or words["unknown"]
    if bundle is not None:
        manifest = bundle.manifest
        facts |= {
            "model": manifest.model.name,
            "weights": manifest.model.sha256[:16],
            "dim": str(manifest.model.dim),
            "image_size": str(manifest.model.image_size),
            **_encoder_facts(manifest.model.encoder, words),
            "preprocessing": manifest.preprocessing,
            "prompt": manifest.prompt_text or words["none"],
            "index": f"{manifest.index.factory} {manifest.index.tuning}".strip(),
            "bundle": bundle.version,
            "build": ", ".join(f"{name} {value}" for name, value in manifest.build.items()),
        }
    return facts


def _encoder_facts(encoder: EncoderRecord | None, words: Strings) -> Facts:
    """Describe a model of another family than Chinese-CLIP."""
    if encoder is None:
        return {}
    return {
        "architecture": encoder.architecture,
        "tokenizer": encoder.tokenizer,
        "context_length": str(encoder.context_length),
        "fit": words[encoder.transform.fit],
    }


def machine_facts(run: ReportRun) -> Facts:
    """Describe where and when a run was made, as far as its header records it."""
    header = run.scored.run.header
    made = header.made if header else {}
    labels = {"machine": "machine_row", "date": "date", "seconds": "seconds"}
    return {label: str(made[name]) for name, label in labels.items() if name in made}


def facts_part(runs: Sequence[ReportRun], facts: Iterable[Facts], words: Strings) -> ReportPart:
    """Return a table with a fact per row and a run per column."""
    columns = list(facts)
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = ((words[key], *(column.get(key, "–") for column in columns)) for key in keys)
    return ReportPart(table=ResultTable(("", *(run.name for run in runs)), tuple(rows)))
