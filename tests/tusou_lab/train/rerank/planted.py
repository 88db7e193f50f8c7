"""A dataset whose relation the random towers of the tests do not see: a word names a colour."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "红色包": (200, 30, 30),
    "绿色包": (30, 170, 40),
    "蓝色包": (30, 60, 200),
    "白色包": (240, 240, 240),
    "黑色包": (15, 15, 15),
}
PER_COLOUR = {"train": 24, "valid": 8}


def write_planted(folder: Path) -> str:
    """Write a MUGE dataset: images of one colour with noise, and a query for each colour."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    for first, (split, each) in enumerate(PER_COLOUR.items(), start=1):
        lines, queries = [], []
        for number, (text, colour) in enumerate(COLOURS.items()):
            ids = [first * 1000 + each * number + copy for copy in range(each)]
            lines += [f"{item_id}\t{_image(colour, rng)}\n" for item_id in ids]
            queries.append({"query_id": first * 100 + number, "query_text": text, "item_ids": ids})
        rng.shuffle(lines)
        (folder / f"MR_{split}_imgs.tsv").write_text("".join(lines))
        rows = (json.dumps(query, ensure_ascii=False) for query in queries)
        (folder / f"MR_{split}_queries.jsonl").write_text("\n".join(rows), "utf-8")
    return str(folder)


def _image(colour: tuple[int, int, int], rng: np.random.Generator) -> str:
    noisy = np.array(colour) + rng.normal(0, 12, (32, 32, 3))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
