"""Bundles of thirty texts with attributes, whose collections are on a server of milvus-lite."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from tusou_indexer.build import BuildReport, BuildSpec, build

from tusou.cli.progress import NoProgress

ITEMS = 30
Index = Callable[..., BuildReport]


def write_source(folder: Path, count: int) -> Path:
    path = folder / "texts.jsonl"
    rows = [{"id": f"{n}.jpg#zhc#0", "text": f"第{n}件红色连衣裙"} for n in range(count)]
    return write_rows(path, rows)


def write_attributes(folder: Path, count: int) -> Path:
    path = folder / "attributes.jsonl"
    rows = [
        {"item_id": f"{n}.jpg#zhc#0", "price": n / 2, "category": ["连衣裙", '"鞋"'][n % 2]}
        for n in range(count)
    ]
    return write_rows(path, rows)


def write_rows(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def spec_of(folder: Path, uri: str, model: Path) -> BuildSpec:
    """Return a build of the texts into collections named after a test's folder."""
    return BuildSpec(
        str(write_source(folder, ITEMS)),
        str(model),
        "milvus",
        "cpu",
        attributes=write_attributes(folder, ITEMS),
        milvus_uri=uri,
        collection="t_" + sha256(str(folder).encode()).hexdigest()[:8],
    )


def builder(spec: BuildSpec, root: Path) -> Index:
    """Return a function that builds, with changes to the specification."""

    def run(*, force: bool = False, **changes: object) -> BuildReport:
        return build(replace(spec, **changes), root, NoProgress(), force=force)

    return run
