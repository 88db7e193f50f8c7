"""What the demo model finds in toy images it never saw, in held-out combinations alone too.

python -m benchmarks.demo_model
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from tusou_lab.toy.dataset import SplitFiles, SplitSize, write_toy
from tusou_lab.toy.products import draw_facts, is_held_out, item_id

from benchmarks.record import record
from tusou.bundle.item_reader import ItemReader, image_of
from tusou.core.arrays import Vectors
from tusou.data import DatasetQuery, ItemRow
from tusou.data.formats.muge import open_image_file, read_queries
from tusou.encoders import Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.evaluation.metrics import JudgedRanking, score
from tusou.images.preprocess import open_image, to_pixels

DEPTH = 10
WANTED = ("mean_recall", "hit@1", "hit@5", "hit@10", "precision@10")


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
    """Return the metrics in percent: of all queries, and of those for held-out items alone."""
    split, seed = arguments.split, arguments.seed
    size = SplitSize(split, arguments.items, arguments.queries)
    write_toy(folder, [size], seed, workers=os.cpu_count() or 1)
    files = SplitFiles.of(folder, split)
    queries = read_queries(files.queries)
    found = search(arguments.model, files.images, [query.text for query in queries])
    kept_back = {
        item_id(split, index)
        for index in range(arguments.items)
        if is_held_out(draw_facts(seed, split, index)[0])
    }
    unseen = [n for n, query in enumerate(queries) if kept_back.issuperset(query.item_ids or ())]
    every = range(len(queries))
    return {
        "seed": seed,
        "items": arguments.items,
        "queries": len(queries),
        "answers_per_query": round(sum(len(q.item_ids or ()) for q in queries) / len(queries), 2),
        "percent": percent([judged(queries[n], found[n]) for n in every]),
        "held_out_items": len(kept_back),
        "held_out_queries": len(unseen),
        "held_out_percent": percent([judged(queries[n], found[n]) for n in unseen]),
    }


def search(model: str, images: Path, texts: list[str]) -> list[list[int]]:
    """Encode a pool and texts, and find each text's best ids by brute force."""
    weights = find_weights(model)
    ids, pool = encode_pool(weights, images)
    encoder = load_text_encoder(weights)
    scores = encoder.encode(encoder.prepare(texts)) @ pool.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return [[ids[place] for place in places] for places in best.tolist()]


def encode_pool(weights: Weights, images: Path) -> tuple[list[int], Vectors]:
    """Encode the images of a MUGE file one by one; their ids and vectors, in its order."""
    encoder, source = load_image_encoder(weights), open_image_file(images)
    rows = [row for row in source.scan() if isinstance(row, ItemRow)]
    with ItemReader(source.files) as files:
        stored = (files.read(row.file, row.offset, row.length) for row in rows)
        decoded = (open_image(image_of(one, source.encoding)) for one in stored)
        pixels = (to_pixels(image, encoder.image_size) for image in decoded)
        vectors = np.concatenate([encoder.encode(one[None]) for one in pixels])
    return [int(row.item_id) for row in rows], vectors


def judged(query: DatasetQuery, ranked: list[int]) -> JudgedRanking:
    """Put a query's ranking beside its answers."""
    return JudgedRanking(ranked, query.item_ids or ())


def percent(queries: list[JudgedRanking]) -> dict[str, float]:
    """Average the wanted metrics."""
    scores = score(queries, DEPTH)
    return {name: round(100 * scores[name], 2) for name in WANTED}


if __name__ == "__main__":
    main()
