"""Retrieval metrics of the demo model on unseen toy images, and on held-out combinations alone.

python -m benchmarks.demo_model
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from tusou_lab.toy.dataset import SplitSize, ToySplitFiles, write_toy
from tusou_lab.toy.products import draw_facts, is_held_out, item_id

from benchmarks.record import record
from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.core.arrays import Vectors
from tusou.data import DatasetQuery, ItemRow
from tusou.data.formats.image_lines import open_image_file
from tusou.data.formats.muge import read_queries
from tusou.encoders import Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.evaluation.metrics import JudgedRanking, score
from tusou.images.preprocess import open_image, to_pixels

DEPTH = 10
METRICS = ("mean_recall", "hit@1", "hit@5", "hit@10", "precision@10")


def main() -> None:
    """Draw, search exactly, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    record("demo_model", figures, file_name=f"demo_model_{arguments.split}_{arguments.queries}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Return the metrics in percent over all queries, and over those for held-out items alone."""
    split, seed = arguments.split, arguments.seed
    size = SplitSize(split, arguments.items, arguments.queries)
    write_toy(folder, [size], seed, workers=os.cpu_count() or 1)
    files = ToySplitFiles.of(folder, split)
    queries = read_queries(files.queries)
    rankings = search(arguments.model, files.images, [query.text for query in queries])
    held_out = {
        item_id(split, index)
        for index in range(arguments.items)
        if is_held_out(draw_facts(seed, split, index)[0])
    }
    unseen = [n for n, query in enumerate(queries) if held_out.issuperset(query.item_ids or ())]
    return {
        "seed": seed,
        "items": arguments.items,
        "queries": len(queries),
        "answers_per_query": round(sum(len(q.item_ids or ()) for q in queries) / len(queries), 2),
        "percent": percent([judged(queries[n], rankings[n]) for n in range(len(queries))]),
        "held_out_items": len(held_out),
        "held_out_queries": len(unseen),
        "held_out_percent": percent([judged(queries[n], rankings[n]) for n in unseen]),
    }


def search(model: str, images: Path, texts: list[str]) -> list[list[int]]:
    """Return the best ids for each text, by brute force."""
    weights = find_weights(model)
    ids, pool = encode_pool(weights, images)
    encoder = load_text_encoder(weights)
    scores = encoder.encode(encoder.prepare(texts)) @ pool.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return [[ids[row] for row in rows] for rows in best.tolist()]


def encode_pool(weights: Weights, images: Path) -> tuple[list[int], Vectors]:
    """Return the ids and the vectors of the images in a MUGE file, encoded singly."""
    encoder, source = load_image_encoder(weights), open_image_file(images)
    rows = [row for row in source.scan() if isinstance(row, ItemRow)]
    with ItemReader(source.files) as files:
        stored = (files.read(row.file, row.offset, row.length) for row in rows)
        decoded = (open_image(decode_stored_image(data, source.encoding)) for data in stored)
        pixels = (to_pixels(image, encoder.transform) for image in decoded)
        vectors = np.concatenate([encoder.encode(image[None]) for image in pixels])
    return [int(row.item_id) for row in rows], vectors


def judged(query: DatasetQuery, ranked: list[int]) -> JudgedRanking:
    """Pair the ranking of a query with its correct items."""
    return JudgedRanking(ranked, query.item_ids or ())


def percent(queries: list[JudgedRanking]) -> dict[str, float]:
    """Return the mean of each metric."""
    scores = score(queries, DEPTH)
    return {name: round(100 * scores[name], 2) for name in METRICS}


if __name__ == "__main__":
    main()
