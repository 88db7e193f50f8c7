"""Cost of shadow traffic: throughput and latency of a service with and without a shadow.

Two services of the same images, one of them with a shadow that repeats all searches, take turns
under the same load. The load generators run on the same cores. Both services log as by default.

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

Figures = dict[str, float]

_SHADOWED = re.compile(r'tusou_shadow_queries_total\{result="(\w+)"\} ([0-9.]+)')


def drive_at_rate(queries: Path, rate: int, seconds: float, running: Service) -> Figures:
    """Send queries at a fixed rate; return throughput, latencies and failures."""
    command = [sys.executable, "-m", "tusou", "load", "--url", running.url, "--json"]
    command += ["--queries", str(queries), "--rate", str(rate), "--duration", str(seconds)]
    report = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
    answered = next(outcome for outcome in report["outcomes"] if outcome["code"] == "ok")
    return {
        "queries_per_s": report["goodput_per_s"],
        "p50_ms": answered["p50_ms"],
        "p99_ms": answered["p99_ms"],
        "failed": report["sent"] - answered["count"],
    }


def shadow_queries(running: Service) -> Figures:
    """Return the number of the shadow's queries by result."""
    metrics = httpx.get(f"{running.url}/metrics", trust_env=False).text
    return {result: float(count) for result, count in _SHADOWED.findall(metrics)}


def measure(running: Service, load: Callable[[Service], Figures]) -> Figures:
    """Return a load's figures, the CPU time, and the share of searches that were compared."""
    cpu_before, before = cpu_seconds(running.pid), shadow_queries(running)
    figures = load(running)
    figures["processor_s"] = cpu_seconds(running.pid) - cpu_before
    after = shadow_queries(running)
    compared, dropped = (
        after.get(result, 0) - before.get(result, 0) for result in ("compared", "dropped")
    )
    if compared + dropped:
        figures["compared_percent"] = 100 * compared / (compared + dropped)
    return figures


def compare(
    services: Mapping[str, Service], load: Callable[[Service], Figures], rounds: int
) -> dict[str, Figures]:
    """Measure the services in turn; return the medians of the rounds, and the sum of failures."""
    rows: dict[str, list[Figures]] = {name: [] for name in services}
    for _ in range(rounds):
        for name, running in services.items():
            rows[name].append(measure(running, load))
    return {
        name: {
            figure: round(
                (sum if figure == "failed" else statistics.median)(row[figure] for row in measured),
                2,
            )
            for figure in measured[0]
        }
        for name, measured in rows.items()
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--rates", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--clients", type=int, nargs="+", default=[4, 64])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, object] = {
        "items": arguments.items,
        "load before, of one minute": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = demo_bundle(folder, arguments.items)
        other = demo_bundle(folder / "other", arguments.items, seeds=(2,))
        queries = folder / "data-1" / "MR_test_queries.jsonl"
        loads = {
            f"{rate} queries a second": partial(drive_at_rate, queries, rate, arguments.seconds)
            for rate in arguments.rates
        } | {
            f"{clients} clients that ask again at once": partial(
                drive, clients=clients, seconds=arguments.seconds
            )
            for clients in arguments.clients
        }
        experiment = {
            "TUSOU_AB_BUNDLE": str(other),
            "TUSOU_AB_MODE": "shadow",
            "TUSOU_AB_SHARE": "1",
        }
        with (
            service(bundle, TUSOU_LOG_LEVEL="info") as alone,
            service(bundle, TUSOU_LOG_LEVEL="info", **experiment) as both,
        ):
            services = {"without": alone, "with a shadow": both}
            for label, load in loads.items():
                figures[label] = compare(services, load, arguments.rounds)
    record("shadow", figures)


if __name__ == "__main__":
    main()
