"""A query file, and the output that a replay of it must write."""

import json
from pathlib import Path

from tusou_client.replay import ReplaySettings

COUNT = 50


def write_queries(path: Path, count: int, first: int = 0) -> Path:
    rows = [
        {"query_id": number, "query_text": f"裙子 {number}", "weight": number / 10}
        for number in range(first, first + count)
    ]
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return path


def expected(service, queries: Path, top_k: int = 10) -> bytes:
    """Return the bytes that a replay must write."""
    rows = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
    for row in rows:
        row["item_ids"] = service.hits(row["query_text"], top_k)["item_ids"]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def settings(server, **changes: object) -> ReplaySettings:
    return ReplaySettings(**{"url": server.url, "batch_size": 4, "in_flight": 1} | changes)


def only_file_beside(queries: Path, out: Path) -> bool:
    return sorted(out.parent.iterdir()) == sorted([queries, out])
