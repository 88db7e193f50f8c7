"""Performance gate: fails when Tusou has become slower relative to stock cn_clip and FAISS.

python -m benchmarks.gate [--keep]

Tusou and stock run in turn in one process, and the ratio of their fastest rounds is compared with
the one that `benchmarks/gate.json` keeps for this kind of processor: noise of a shared machine only
ever adds time, and rarely to all rounds. A ratio more than 20 % under the kept one is measured
once more before it fails. Hosts with the same instructions differ by a factor of two, as stock is
limited by other things than Tusou is: the lowest ratio of the hosts measured is kept. `--keep` adds
this machine's; after a gain, delete the file first.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from cn_clip.clip import tokenize
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.index.tune import build_index

from benchmarks.encoders import our_images, our_texts
from benchmarks.stock import (
    jpegs,
    load_stock,
    queries,
    save_random_model,
    stock_images,
    stock_texts,
    structured,
)
from benchmarks.timing import Work, fastest_in_turn
from tusou.core.hardware import cpu_features, describe_machine
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.tokenizer import ClipTokenizer
from tusou.encoders.torch.cpu_threads import on_all_cores, on_one_core

KEPT = Path(__file__).parent / "gate.json"
TOLERANCE = 0.2

_THREADS = "OPENBLAS_NUM_THREADS"  # 1: numpy's and torch's thread pools would compete
_POOL, _DIM, _K = 30_000, 512, 10
_IMAGES = 4

_TURNS = 4  # of Tusou in a round

# A task: its name, the work of stock, the work of Tusou, and the number of rounds.
Task = tuple[str, Work, Work, int]


def main() -> None:
    """Measure every task; exit with 1 if one of them has become slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the ratios of this machine, too")
    keep = parser.parse_args().keep
    if os.environ.get(_THREADS) != "1":  # read by numpy when it is imported
        command = [sys.executable, "-m", "benchmarks.gate", *sys.argv[1:]]
        sys.exit(subprocess.call(command, env={**os.environ, _THREADS: "1"}))
    all_kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    kind = processor_kind()
    kept = {} if keep else all_kept.get(kind, {})
    print(f"{describe_machine()}; kept ratios: {kind if kept else 'none'}", flush=True)
    measured, slower = {}, []
    for task in tasks():
        name, floor = task[0], kept.get(task[0], 0) * (1 - TOLERANCE)
        measured[name] = measure(task)
        if measured[name] < floor:
            measured[name] = max(measured[name], measure(task))
        verdict = "slower" if measured[name] < floor else "ok" if kept else "not judged"
        slower += [name] if verdict == "slower" else []
        print(f"{name:24} {measured[name]:7.2f} x stock, kept {kept.get(name, '-')}: {verdict}")
    if keep:
        before = all_kept.get(kind, {})
        lowest = {name: min(ratio, before.get(name, ratio)) for name, ratio in measured.items()}
        text = json.dumps({**all_kept, kind: lowest}, indent=2, sort_keys=True)
        KEPT.write_text(f"{text}\n", encoding="utf-8")
    if slower:
        sys.exit(f"slower than kept by more than {TOLERANCE:.0%}: {', '.join(slower)}")


def processor_kind() -> str:
    """Return the instruction set that decides the ratios: amx_bf16, avx512_bf16 or another."""
    names = ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx2")
    return next((name for name in names if name in cpu_features()), "other")


def measure(task: Task) -> float:
    """Return stock's fastest call over Tusou's.

    Tusou, whose calls are shorter, has several in each round: a disturbed machine must leave one of
    them alone. Where all of stock's are disturbed, the ratio is too high, which fails nothing.
    """
    _, stock, tusou, rounds = task
    works = {"stock": stock, **{f"tusou {turn}": tusou for turn in range(_TURNS)}}
    seconds = fastest_in_turn(works, rounds)
    return round(seconds.pop("stock") / min(seconds.values()), 2)


def tasks() -> Iterator[Task]:
    """Yield the tasks; what one of them loads is freed before the next."""
    yield _tokens()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit-b-16.pt")
        with on_one_core():
            save_random_model(path)
            stock, weights = load_stock(path), find_weights(str(path))
        text_encoder = load_text_encoder(weights, "cpu")
        for batch, rounds in ((1, 12), (32, 4)):
            texts = queries(batch)
            yield (
                f"texts, batch {batch}",
                partial(on_all_cores, partial(stock_texts, stock, texts)),
                partial(our_texts, text_encoder, texts),
                rounds,
            )
        del text_encoder
        gc.collect()
        image_encoder, files = load_image_encoder(weights, "cpu", "auto"), jpegs(_IMAGES, 224)
        yield (
            "images, 224 px",
            partial(on_all_cores, partial(stock_images, stock, files)),
            partial(our_images, image_encoder, files),
            5,
        )
    del stock, image_encoder
    gc.collect()
    yield from _searches()


def _tokens() -> Task:
    texts, ours = queries(512), ClipTokenizer()
    return "tokens", partial(tokenize, texts), partial(ours.prepare, texts), 8


def _searches() -> Iterator[Task]:
    vectors, asked = structured(_POOL, _DIM, 1), structured(256, _DIM, 2)
    index = build_index(vectors, IndexRequest(), lambda: structured(220, _DIM, 3)).index
    flat = faiss.IndexFlatIP(_DIM)
    flat.add(vectors)
    for batch, rounds in ((1, 40), (256, 8)):
        rows = np.ascontiguousarray(asked[:batch])
        search = partial(flat.search, rows, _K), partial(index.search, rows, _K)
        yield f"search, batch {batch}", *search, rounds


if __name__ == "__main__":
    main()
