"""Changes between two versions of a bundle under load: failed and mixed responses.

A response is mixed if it differs from what the version in its `index_version` returns alone.

python -m benchmarks.reliability.swaps [--full]
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
# Scores differ slightly between batches; those of two versions differ by more.
TOLERANCE = 1e-3
Oracle = dict[tuple[str, str], dict[int | str, float]]  # (version, query) -> item -> score


@dataclass
class Tally:
    """Counts over all clients."""

    responses: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    mixed: int = 0
    slowest: float = 0.0


def versions_in(bundle: Path) -> list[str]:
    """Return the two versions, the current one last."""
    current = (bundle / "CURRENT").read_text().strip()
    others = [path.parent.name for path in bundle.glob("*/manifest.json")]
    others = sorted(name for name in others if name != current)
    if not others:
        raise SystemExit(f"{bundle} holds one version; index another pool into it")
    return [others[0], current]


def point(bundle: Path, version: str) -> None:
    """Make a version current by one rename, as publishing does."""
    side = bundle / "CURRENT.side"
    side.write_text(version + "\n")
    side.replace(bundle / "CURRENT")


async def make_oracle(client: httpx.AsyncClient, bundle: Path, versions: list[str]) -> Oracle:
    """Return the results of each version alone, for all queries."""
    oracle: Oracle = {}
    for version in versions:
        point(bundle, version)
        (await client.post("/admin/reload")).raise_for_status()
        for query in QUERIES:
            body = {"query": query, "top_k": 100}
            result = (await client.post("/search", json=body)).raise_for_status().json()
            assert result["index_version"] == version
            pairs = zip(result["item_ids"], result["scores"], strict=True)
            oracle[version, query] = dict(pairs)
    return oracle


async def search_until(
    client: httpx.AsyncClient, oracle: Oracle, tally: Tally, stop: asyncio.Event
) -> None:
    """Search until `stop` is set; count failed and mixed responses."""
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
        batch = response.json()
        version = batch["index_version"]
        tally.responses[version] = tally.responses.get(version, 0) + 1
        for query, result in zip(QUERIES, batch["results"], strict=True):
            expected = oracle[version, query]
            pairs = zip(result["item_ids"], result["scores"], strict=True)
            if any(abs(expected.get(item, 9.0) - score) > TOLERANCE for item, score in pairs):
                tally.mixed += 1


async def swap(running: Service, bundle: Path, reloads: int, clients: int) -> Tally:
    """Reload back and forth under load."""
    versions, tally, stop = versions_in(bundle), Tally(), asyncio.Event()
    limits = httpx.Limits(max_connections=clients + 1)
    async with httpx.AsyncClient(
        base_url=running.url, timeout=60, limits=limits, trust_env=False
    ) as client:
        oracle = await make_oracle(client, bundle, versions)
        searching = [
            asyncio.create_task(search_until(client, oracle, tally, stop)) for _ in range(clients)
        ]
        for number in range(reloads):
            point(bundle, versions[number % 2])
            result = (await client.post("/admin/reload")).raise_for_status().json()
            assert result["status"] == "swapped"
        stop.set()
        await asyncio.gather(*searching)
    return tally


def main() -> None:
    """Measure and record; exit 1 if a response failed or was mixed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="bundle of two versions; default: a new one")
    parser.add_argument("--full", action="store_true", help="200 reloads under 64 clients")
    arguments = parser.parse_args()
    reloads, clients = (200, 64) if arguments.full else (20, 16)
    with tempfile.TemporaryDirectory() as folder:
        bundle = arguments.bundle or demo_bundle(Path(folder), items=500, seeds=(1, 2))
        tally = measure(bundle, reloads, clients)
    record(
        "reliability.swaps",
        {
            "reloads": reloads,
            "clients": clients,
            "batches answered, by version": [*tally.responses.values()],
            "failed": tally.failed,
            "mixed": tally.mixed,
            "slowest answer, s": round(tally.slowest, 2),
        },
        save=arguments.full,
    )
    sys.exit(1 if tally.failed or tally.mixed else 0)


def measure(bundle: Path, reloads: int, clients: int) -> Tally:
    """Serve the bundle and reload; CURRENT is restored at the end."""
    current = (bundle / "CURRENT").read_text().strip()
    try:
        with service(bundle, TUSOU_TIMEOUT_MS="30000") as running:
            return asyncio.run(swap(running, bundle, reloads, clients))
    finally:
        point(bundle, current)


if __name__ == "__main__":
    main()
