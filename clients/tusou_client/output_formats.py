"""Output formats of a replay, chosen by the suffix of the output's name."""

import json
from collections.abc import Sequence
from pathlib import Path

from tusou.data.submission import CONTESTS, format_teddy_table, zip_rows
from tusou_client.errors import UsageError
from tusou_client.query_file import QueryRow


def check_depth(out: Path, top_k: int) -> None:
    """Raise UsageError when the contest of the output takes another number of items."""
    contest = CONTESTS.get(out.suffix)
    if contest is not None and contest.items != top_k:
        raise UsageError(
            f"{contest.name} takes {contest.items} items for each query: "
            f"give --top-k {contest.items}."
        )


def format_output(suffix: str, rows: Sequence[QueryRow], lines: Sequence[bytes]) -> bytes:
    """Return the output file from its rows: .zip holds them, .csv is Teddy Cup's table."""
    if suffix == ".csv":
        rankings = (
            (str(row.query_id), json.loads(line)[row.items_field])
            for row, line in zip(rows, lines, strict=True)
        )
        return format_teddy_table(rankings, "text_to_image")
    return zip_rows(lines) if suffix == ".zip" else b"".join(line + b"\n" for line in lines)
