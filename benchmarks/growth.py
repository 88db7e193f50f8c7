"""Growth of the index that `auto` chooses: search time, memory and build time by size of the pool.

python -m benchmarks.growth            30,000 and 300,000 vectors
python -m benchmarks.growth --full     30,000, 1 million and 10 million (20 GB of disk)

Structured vectors are drawn into a file in blocks. One process builds the index from the mapped
file, another one loads it as a service does and searches with fresh queries, one at a time. Memory
is what a process holds itself (RssAnon): pages of mapped files can be dropped at any time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.index.tune import build_index

from benchmarks.record import record
from benchmarks.stock import StructuredSpace, structured
from tusou.bundle.array_file import array_header, map_array
from tusou.bundle.vector_file import VECTOR_TYPE, VectorFile
from tusou.evaluation.index_recall import exact_neighbors, index_recall
from tusou.indexes import load_index
from tusou.indexes.specs import FaissSpec

DIM, K = 512, 10
_QUERIES, _ROUNDS = 200, 5
_BLOCK = 50_000
_MILLION = 1_000_000


def main() -> None:
    """Measure every size and record the figures; `--step` runs one step in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="30,000, 1 million and 10 million")
    parser.add_argument("--items", type=int, nargs="+", help="other sizes")
    parser.add_argument("--index", default="auto:4GB", help="as for `tusou index`")
    parser.add_argument("--folder", type=Path, help="where the vectors are written")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step, count = args.step
        result = _STEPS[step](args.folder, int(count), args.index)
        print(json.dumps(result))
        return
    sizes = args.items or ([30_000, _MILLION, 10 * _MILLION] if args.full else [30_000, 300_000])
    figures: dict[str, object] = {"index": args.index, "dimensions": DIM}
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            _draw(Path(folder, "vectors"), size)
            figures[f"{size:,} items"] = {
                **_in_process("build", folder, size, args.index),
                **_in_process("search", folder, size, args.index),
            }
        record("growth", figures, "growth")  # after each size: the last one takes hours


def _in_process(step: str, folder: str, size: int, index: str) -> dict[str, object]:
    arguments = ["--folder", folder, "--index", index, "--step", step, str(size)]
    command = [sys.executable, "-m", "benchmarks.growth", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, object] = json.loads(done.stdout)
    return result


def _draw(path: Path, count: int) -> None:
    """Write structured vectors, as `structured` draws them, block by block."""
    random, space = np.random.default_rng(1), StructuredSpace(DIM)
    with path.open("wb") as file:
        file.write(array_header(VECTOR_TYPE, (count, DIM)))
        for start in range(0, count, _BLOCK):
            size = min(_BLOCK, count - start)
            inner = space.centres[random.integers(0, 1000, size)]
            inner = (inner + 0.5 * random.normal(size=(size, 64))).astype(np.float32)
            noise = 0.15 * random.standard_normal((size, DIM), np.float32)
            vectors = space.cone.astype(np.float32) + inner @ space.axes.astype(np.float32) + noise
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            file.write(np.ascontiguousarray(vectors, VECTOR_TYPE).data)


def _build(folder: Path, count: int, index: str) -> dict[str, object]:
    """Build and save the index, and the exact neighbors of the queries of the other step."""
    vectors = map_array(folder / "vectors", VECTOR_TYPE, (count, DIM))
    peak = PeakMemory()
    started = perf_counter()
    built = build_index(vectors, IndexRequest(index, 0.99), lambda: structured(220, DIM, 3))
    built.index.save(folder / "index")
    seconds = perf_counter() - started
    most = peak.stop()
    queries = structured(_QUERIES, DIM, 2)
    results = built.index.search(queries, K).ids
    recall = index_recall(vectors, queries, results, exact_neighbors(vectors, queries, K), K)
    spec = {"factory": built.spec.factory, "tuning": built.spec.tuning}
    (folder / "spec").write_text(json.dumps(spec))
    return {
        **spec,
        "index_recall@10 on fresh queries": round(recall, 4),
        "built in, s": round(seconds, 1),
        "s to build per million": round(seconds / count * _MILLION, 1),
        "most memory of the build, MB": round(most / 1e6),
        "index file, MB": round((folder / "index").stat().st_size / 1e6),
    }


def _search(folder: Path, count: int, _: str) -> dict[str, object]:
    """Load the index as a service does, and time single queries."""
    before = own_memory()
    stored = VectorFile(folder / "vectors", (count, DIM))
    spec = FaissSpec(**json.loads((folder / "spec").read_text()))
    index = load_index(spec, folder / "index", "cpu", stored)
    queries = structured(_QUERIES, DIM, 2)
    seconds = np.full((_ROUNDS, _QUERIES), np.inf)
    for round_times in seconds:
        for number in range(_QUERIES):
            query = np.ascontiguousarray(queries[number : number + 1])
            started = perf_counter()
            index.search(query, K)
            round_times[number] = perf_counter() - started
    return {
        "ms a search, median": round(1000 * statistics.median(seconds.ravel()), 3),
        "ms a search, median of each query's fastest": round(
            1000 * float(np.median(seconds.min(axis=0))), 3
        ),
        "memory of the searching process for the index, MB": round((own_memory() - before) / 1e6),
    }


_STEPS = {"build": _build, "search": _search}


def own_memory() -> int:
    """Return the bytes of this process that are not pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("no RssAnon in /proc/self/status")


class PeakMemory:
    """The most memory that this process holds itself, looked at ten times a second."""

    def __init__(self) -> None:
        self._most, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return the bytes."""
        self._stopped.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._stopped.is_set():
            self._most = max(self._most, own_memory())
            sleep(0.1)


if __name__ == "__main__":
    main()
