"""Query files of the tests of distillation."""

import json
from pathlib import Path


def write_queries(path: Path, texts: list[str], answers: bool = False) -> Path:
    rows = [
        {"query_id": n, "query_text": text} | ({"item_ids": [1000 + n]} if answers else {})
        for n, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path
