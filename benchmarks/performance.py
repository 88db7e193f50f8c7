"""All speed figures of the project in one run: `make bench`, or `make bench QUICK=--quick`.

`--again PART` measures one part again and keeps the others; each part records when it was started.
A part that fails, or for which no time is left (four minutes for a quick run, an hour for a full
one), is recorded as not measured, with the reason; the others are still measured, and the command
exits with 1.

Every part runs in a process of its own, where stock and Tusou alternate. The parts with stock
cn_clip get OPENBLAS_NUM_THREADS=1: otherwise the thread pools of numpy and torch compete, which can
double stock's time. Search does not get it, because FAISS multiplies with that pool.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from benchmarks.record import RESULTS, record
from tusou.core.lazy_import import LazyImport

NOT_MEASURED = "not measured"  # the key of the reason

ALONE = {"OPENBLAS_NUM_THREADS": "1"}

_SEARCH = LazyImport("benchmarks.search:measure_search")

_LIMIT_SECONDS, _QUICK_LIMIT_SECONDS = 3600, 240  # of all parts together

# Each part: function, arguments, and arguments of a quick run (None: left out).
PARTS: dict[str, tuple[LazyImport, tuple[object, ...], tuple[object, ...] | None]] = {
    "floor": (LazyImport("benchmarks.floor:measure_floor"), (20,), (5,)),
    "texts": (
        LazyImport("benchmarks.encoders:measure_texts"),
        (21, (1, 8, 32, 256), 180),
        (5, (1, 8, 32), 10),
    ),
    "images": (LazyImport("benchmarks.encoders:measure_images"), (28, 180), (12, 15)),
    "search, 30k x 512": (_SEARCH, (30_000, 21), (30_000, 7)),
    "search, 1M x 512": (_SEARCH, (1_000_000, 7), None),
    "http": (LazyImport("benchmarks.http:measure_http"), (8, (1, 8, 32, 64, 256)), (2, (1, 32))),
}


def main() -> None:
    """Run every part, or the one that `--again` or `--part` names, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under three minutes, less precise")
    parser.add_argument("--without", action="append", default=[], help="a part to leave out")
    parser.add_argument("--again", choices=PARTS, help="measure this part again, keep the others")
    parser.add_argument("--part", help="run only this part and print its figures")
    parser.add_argument("--note", default="", help="other load of the machine")
    args = parser.parse_args()
    if args.part:
        function, full, short = PARTS[args.part]
        measure = cast("Callable[..., object]", function.load())
        print(json.dumps(measure(*(short if args.quick and short else full))))
        return
    if args.again:
        figures = json.loads((RESULTS / "performance.json").read_text(encoding="utf-8"))["figures"]
        record("performance", {**figures, args.again: run_part(args.again, _LIMIT_SECONDS)})
        return
    figures = {
        "mode": "quick" if args.quick else "full",
        "note": args.note,
        "left out": args.without,
        "begun": _now(),
    }
    end = time.monotonic() + (_QUICK_LIMIT_SECONDS if args.quick else _LIMIT_SECONDS)
    for name, (_, _, short) in PARTS.items():
        if name not in args.without and not (args.quick and short is None):
            print(f"{name} ...", file=sys.stderr, flush=True)
            figures[name] = run_part(name, end - time.monotonic(), quick=args.quick)
            record("performance", figures)  # an interrupted run keeps its finished parts
    failed = [
        name for name in PARTS if NOT_MEASURED in cast("dict[str, object]", figures.get(name, {}))
    ]
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def run_part(name: str, limit: float, *, quick: bool = False) -> dict[str, object]:
    """Measure a part in a process of its own, which is stopped after `limit` seconds."""
    command = [sys.executable, "-m", "benchmarks.performance", "--part", name]
    environment = dict(os.environ) if name.startswith("search") else {**os.environ, **ALONE}
    begun, load = _now(), os.getloadavg()[0]
    try:
        output = subprocess.check_output(
            [*command, *["--quick"] * quick], text=True, env=environment, timeout=limit
        )
        part = json.loads(output)
    except subprocess.TimeoutExpired:
        part = {NOT_MEASURED: f"took more than the {max(0, limit):.0f} s left"}
    except subprocess.CalledProcessError as error:
        part = {NOT_MEASURED: f"ended with exit code {error.returncode}"}
    return {"begun": begun, "load average before": round(load, 1), **part}


def _now() -> str:
    return datetime.now(UTC).strftime("%H:%M UTC")


if __name__ == "__main__":
    main()
