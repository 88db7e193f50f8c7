"""What the HTTP side of a search costs, in one process and over several fronts.

A tiny pool, the demo model and remembered queries: little is left but HTTP. Clients are processes
of their own on the same cores.

python -m benchmarks.fronts
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.record import record
from benchmarks.running import Service, demo_bundle, service

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Ask the system how much processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Ask the system how much memory a process holds."""
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )


def fronts_of(one: Service) -> list[int]:
    """Name the processes that speak HTTP for the service's own."""
    children = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def drive(one: Service, clients: int, seconds: float, processes: int) -> list[dict[str, float]]:
    """Be so many clients, in so many processes."""
    share = str(clients // processes)
    command = [sys.executable, "-m", "benchmarks.http", one.url, share, str(seconds)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    return [json.loads(process.communicate()[0]) for process in running]


def measure(one: Service, clients: int, seconds: float, processes: int) -> dict[str, object]:
    """Measure one service that has answered every query before."""
    drive(one, clients, 1, processes)
    pids = [one.pid, *fronts_of(one)]
    before = [cpu_seconds(pid) for pid in pids]
    seen = drive(one, clients, seconds, processes)
    parent, *fronts = (cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True))
    # The clients' first questions, asked before their clock runs, are in the time but not counted.
    answered = sum(each["queries_per_s"] for each in seen) * seconds + clients
    figures: dict[str, object] = {
        "queries_per_s": round(sum(each["queries_per_s"] for each in seen)),
        "p50_ms, of the client processes": [each["p50_ms"] for each in seen],
        "p99_ms, of the client processes": [each["p99_ms"] for each in seen],
        "failed": sum(each["failed"] for each in seen),
        "processor ms a request, where the model is": round(1000 * parent / answered, 3),
        "memory where the model is, MB": round(resident_mb(one.pid)),
    }
    if fronts:
        figures["processor ms a request, in a front"] = round(1000 * sum(fronts) / answered, 3)
        figures["share of the busiest front"] = round(max(fronts) / sum(fronts), 2)
        figures["memory of a front, MB"] = round(max(resident_mb(pid) for pid in pids[1:]))
    return figures


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--client-processes", type=int, default=2)
    parser.add_argument("--http-processes", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    figures: dict[str, object] = {"clients": arguments.clients}
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), items=500)
        for count in arguments.http_processes:
            environment = {"TUSOU_HTTP_PROCESSES": str(count), "TUSOU_CACHE_QUERIES": "10000"}
            name = f"{count} HTTP process{'es' if count > 1 else ''}"
            with service(bundle, **environment) as one:
                figures[name] = measure(
                    one, arguments.clients, arguments.seconds, arguments.client_processes
                )
    record("fronts", figures)


if __name__ == "__main__":
    main()
