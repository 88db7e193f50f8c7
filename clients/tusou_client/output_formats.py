"""The form of a replay's output: rows, or what a contest takes, by the end of its name."""

import json
from collections.abc import Sequence
from pathlib import Path

from tusou.data.submission import MUGE_ITEMS, TEDDY_ITEMS, teddy_table, zipped
from tusou_client.errors import UsageError
from tusou_client.query_file import Number, QueryRow

_DEPTHS = {".zip": ("MUGE", MUGE_ITEMS), ".csv": ("Teddy Cup", TEDDY_ITEMS)}


def check_depth(out: Path, top_k: int) -> None:
    """Raise Misuse, before anything is asked, when the contest takes another number of items."""
    contest, depth = _DEPTHS.get(out.suffix, ("", top_k))
    if depth != top_k:
        raise UsageError(f"{contest} takes {depth} items for each query: give --top-k {depth}.")


def formed(suffix: str, rows: Sequence[QueryRow], lines: Sequence[bytes]) -> bytes:
    """Give the bytes of the output from its rows: .zip holds them, .csv is Teddy Cup's table."""
    if suffix == ".csv":
        found = [json.loads(line)[row.answers] for row, line in zip(rows, lines, strict=True)]
        asked = [_written(row.query_id) for row in rows]
        return teddy_table(zip(asked, found, strict=True), "text_to_image")
    data = b"".join(line + b"\n" for line in lines)
    return zipped("test_pred.jsonl", data) if suffix == ".zip" else data


def _written(query_id: object) -> str:
    return query_id.written if isinstance(query_id, Number) else str(query_id)
