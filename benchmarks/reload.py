"""Reloads between two versions of a bundle while clients search: failed and mixed answers.

An answer is mixed when it is not what its `index_version` alone would give.

python -m benchmarks.reload
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import httpx

from benchmarks.record import record
from benchmarks.running import Service, demo_bundle, service

QUERIES = ("红色碎花吊带裙", "北欧轻奢边几", "男士黑色皮鞋", "纯棉碎花吊带裙", "白色台灯")
# A score moves in its last digits with the batch it was computed in; two versions differ by more.
TOLERANCE = 1e-3
Oracle = dict[tuple[str, str], dict[int | str, float]]  # (version, query) -> item -> score


@dataclass
class Tally:
    """What the clients saw."""

    answers: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    mixed: int = 0
    slowest: float = 0.0


def versions_in(bundle: Path) -> list[str]:
    """Name the two versions, the one that is current last."""
    current = (bundle / "CURRENT").read_text().strip()
    others = [path.parent.name for path in bundle.glob("*/manifest.json")]
    others = sorted(name for name in others if name != current)
    if not others:
        raise SystemExit(f"{bundle} holds one version; index another pool into it")
    return [others[0], current]


def point(bundle: Path, version: str) -> None:
    """Make a version current, as publishing does: by one rename."""
    side = bundle / "CURRENT.side"
    side.write_text(version + "\n")
    side.replace(bundle / "CURRENT")


async def learn(client: httpx.AsyncClient, bundle: Path, versions: list[str]) -> Oracle:
    """Ask each version alone for everything it may answer."""
    oracle: Oracle = {}
    for version in versions:
        point(bundle, version)
        (await client.post("/admin/reload")).raise_for_status()
        for query in QUERIES:
            body = {"query": query, "top_k": 100}
            answer = (await client.post("/search", json=body)).raise_for_status().json()
            assert answer["index_version"] == version
            pairs = zip(answer["item_ids"], answer["scores"], strict=True)
            oracle[version, query] = dict(pairs)
    return oracle


async def ask(client: httpx.AsyncClient, oracle: Oracle, tally: Tally, stop: asyncio.Event) -> None:
    """Search until told to stop."""
    while not stop.is_set():
        started = perf_counter()
        try:
            body = {"queries": list(QUERIES)}
            response = await client.post("/search/batch", json=body)
            response.raise_for_status()
        except httpx.HTTPError:
            tally.failed += 1
            continue
        tally.slowest = max(tally.slowest, perf_counter() - started)
        answer = response.json()
        version = answer["index_version"]
        tally.answers[version] = tally.answers.get(version, 0) + 1
        for query, result in zip(QUERIES, answer["results"], strict=True):
            known = oracle[version, query]
            pairs = zip(result["item_ids"], result["scores"], strict=True)
            if any(abs(known.get(item, 9.0) - score) > TOLERANCE for item, score in pairs):
                tally.mixed += 1


async def swap(running: Service, bundle: Path, reloads: int, clients: int) -> Tally:
    """Reload back and forth under load."""
    versions, tally, stop = versions_in(bundle), Tally(), asyncio.Event()
    limits = httpx.Limits(max_connections=clients + 1)
    async with httpx.AsyncClient(base_url=running.url, timeout=60, limits=limits) as client:
        oracle = await learn(client, bundle, versions)
        asking = [asyncio.create_task(ask(client, oracle, tally, stop)) for _ in range(clients)]
        for number in range(reloads):
            point(bundle, versions[number % 2])
            done = (await client.post("/admin/reload")).raise_for_status().json()
            assert done["status"] == "swapped"
        stop.set()
        await asyncio.gather(*asking)
    return tally


def main() -> None:
    """Run and record; exit 1 when anything failed or mixed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="one of two versions; else one is made")
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = arguments.bundle or demo_bundle(Path(folder), items=500, seeds=(1, 2))
        tally = measure(bundle, arguments.reloads, arguments.clients)
    record(
        "reload",
        {
            "reloads": arguments.reloads,
            "clients": arguments.clients,
            "batches answered, by version": [*tally.answers.values()],
            "failed": tally.failed,
            "mixed": tally.mixed,
            "slowest answer, s": round(tally.slowest, 2),
        },
    )
    sys.exit(1 if tally.failed or tally.mixed else 0)


def measure(bundle: Path, reloads: int, clients: int) -> Tally:
    """Serve the bundle and swap; CURRENT is put back at the end."""
    current = (bundle / "CURRENT").read_text().strip()
    try:
        with service(bundle, TUSOU_TIMEOUT_MS="30000") as running:
            return asyncio.run(swap(running, bundle, reloads, clients))
    finally:
        point(bundle, current)


if __name__ == "__main__":
    main()
