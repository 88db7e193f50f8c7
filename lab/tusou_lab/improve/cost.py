"""The cost of a bundle's stages: milliseconds a query, disk and memory.

`python -m tusou_lab.improve.cost BUNDLE` prints the most memory, in MB, that a process takes which
opens a bundle and searches it once.
"""

import math
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from tusou.bundle.bundle import Bundle
from tusou.core.errors import TusouError
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query
from tusou_lab.improve.ladder import RungCost

_TOP_K = 10
_TEXT = "红色连衣裙"
_QUERIES = 20  # of a round
_ROUNDS = 20
_SECONDS = 30.0  # no further round begins after that


def measure_cost(
    plain: Path, root: Path, texts: Sequence[str], *, interpret: bool = True
) -> RungCost:
    """Return the cost of a bundle beside that of the plain one, measured in turn."""
    queries = [Query.of_text(text, _TOP_K, interpret=interpret) for text in texts[:_QUERIES]]
    pipelines = SearchPipeline.open(plain), SearchPipeline.open(root)
    plain_ms, ms = _milliseconds(pipelines, queries)
    return RungCost(ms, plain_ms, disk_mb(root), disk_mb(plain), memory_mb(root), memory_mb(plain))


def _milliseconds(pipelines: Sequence[SearchPipeline], queries: Sequence[Query]) -> list[float]:
    """Return the mean over the queries, for each pipeline, of a query's fastest search."""
    fastest = [[math.inf] * len(queries) for _ in pipelines]
    end = perf_counter() + _SECONDS
    for number in range(1 + _ROUNDS):  # the first warms up
        if number > 1 and perf_counter() > end:
            break
        for place, query in enumerate(queries):
            for pipeline, times in zip(pipelines, fastest, strict=True):
                started = perf_counter()
                pipeline.search([query])
                if number:
                    times[place] = min(times[place], perf_counter() - started)
    return [1000 * sum(times) / len(queries) for times in fastest]


def disk_mb(root: Path) -> float:
    """Return the size of the current version's files."""
    return sum(record.size for record in Bundle.open(root).manifest.files.values()) / 1e6


def memory_mb(root: Path) -> float:
    """Return the most memory that a process takes which searches the bundle; TusouError."""
    command = [sys.executable, "-m", "tusou_lab.improve.cost", str(root)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, check=False, stdout=subprocess.PIPE, encoding="utf-8"
    )
    if done.returncode:
        raise TusouError(f"{root} could not be searched in a process of its own; see above")
    return float(done.stdout)


def _print_memory(root: Path) -> None:
    pipeline = SearchPipeline.open(root)
    pipeline.search([Query.of_text(_TEXT, 1)])
    print(_most_memory() / 1e6)  # noqa: T201


def _most_memory() -> int:
    """Return the most memory that this process has taken, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:  # not on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss: on Linux it is at least what the process took that started this one.
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    _print_memory(Path(sys.argv[1]))
