"""The record of the vectors that the current version took from others, `BUNDLE/reused.json`.

It is not part of a version: the bytes of a version must not depend on how its vectors came about.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from tusou.bundle.shards import ReusedRows
from tusou.core.files import write_file

REUSED = "reused.json"


def write_reuse(root: Path, version: str, reused: Sequence[ReusedRows]) -> None:
    """Record what a version took from others; without any, delete the record of the last one."""
    path = root / REUSED
    if not reused:
        path.unlink(missing_ok=True)
        return
    taken = [{"version": rows.version, "items": rows.items} for rows in reused]
    write_file(path, json.dumps({"version": version, "reused": taken}).encode() + b"\n")


def read_reuse(root: Path, version: str) -> list[dict[str, str | int]]:
    """Return how many vectors a version took from which others; empty if nothing is recorded."""
    try:
        record = json.loads((root / REUSED).read_bytes())
        taken: list[dict[str, str | int]] = record["reused"] if record["version"] == version else []
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return taken
