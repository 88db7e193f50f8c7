"""What a second bundle in the shadow costs the first: its answers a second, and their times.

Two services of one pool, one of them with a shadow that is asked everything, in turn under the
same load; the load makers are processes on the same cores. Both log as they do by default.

python -m benchmarks.shadow
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import httpx

from benchmarks.http import drive
from benchmarks.record import record
from benchmarks.running import Service, cpu_seconds, demo_bundle, service

Seen = dict[str, float]

_SHADOWED = re.compile(r'tusou_shadow_queries_total\{result="(\w+)"\} ([0-9.]+)')


def at_rate(queries: Path, rate: int, seconds: float, one: Service) -> Seen:
    """Send so many queries a second, whatever becomes of them."""
    command = [sys.executable, "-m", "tusou", "load", "--url", one.url, "--json"]
    command += ["--queries", str(queries), "--rate", str(rate), "--duration", str(seconds)]
    seen = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
    answered = next(end for end in seen["outcomes"] if end["code"] == "ok")
    return {
        "queries_per_s": seen["goodput_per_s"],
        "p50_ms": answered["p50_ms"],
        "p99_ms": answered["p99_ms"],
        "failed": seen["sent"] - answered["count"],
    }


def shadowed(one: Service) -> Seen:
    """Read what has become of the queries for the shadow."""
    metrics = httpx.get(f"{one.url}/metrics").text
    return {result: float(count) for result, count in _SHADOWED.findall(metrics)}


def measured(one: Service, load: Callable[[Service], Seen]) -> Seen:
    """Put the load on one service, and note the processor time and the shadow's share of it."""
    before, was = cpu_seconds(one.pid), shadowed(one)
    seen = load(one)
    seen["processor_s"] = cpu_seconds(one.pid) - before
    compared, dropped = (
        shadowed(one).get(what, 0) - was.get(what, 0) for what in ("compared", "dropped")
    )
    if compared + dropped:
        seen["compared_percent"] = 100 * compared / (compared + dropped)
    return seen


def compare(
    services: Mapping[str, Service], load: Callable[[Service], Seen], rounds: int
) -> dict[str, Seen]:
    """Take turns; give the median of the rounds, of failures the sum."""
    turns: dict[str, list[Seen]] = {name: [] for name in services}
    for _ in range(rounds):
        for name, one in services.items():
            turns[name].append(measured(one, load))
    return {
        name: {
            what: round(
                (sum if what == "failed" else statistics.median)(turn[what] for turn in seen), 2
            )
            for what in seen[0]
        }
        for name, seen in turns.items()
    }


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--rates", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--clients", type=int, nargs="+", default=[4, 64])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    figures: dict[str, object] = {
        "items": given.items,
        "load before, of one minute": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = demo_bundle(folder, given.items)
        other = demo_bundle(folder / "other", given.items, seeds=(2,))
        queries = folder / "data-1" / "MR_test_queries.jsonl"
        loads = {
            f"{rate} queries a second": partial(at_rate, queries, rate, given.seconds)
            for rate in given.rates
        } | {
            f"{clients} clients that ask again at once": partial(
                drive, clients=clients, seconds=given.seconds
            )
            for clients in given.clients
        }
        watched = {"TUSOU_AB_BUNDLE": str(other), "TUSOU_AB_MODE": "shadow", "TUSOU_AB_SHARE": "1"}
        with (
            service(bundle, TUSOU_LOG_LEVEL="info") as alone,
            service(bundle, TUSOU_LOG_LEVEL="info", **watched) as both,
        ):
            services = {"without": alone, "with a shadow": both}
            for label, load in loads.items():
                figures[label] = compare(services, load, given.rounds)
    record("shadow", figures)


if __name__ == "__main__":
    main()
