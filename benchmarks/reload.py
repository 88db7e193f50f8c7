"""Reloads between two versions of a bundle while clients search: failed and mixed answers.

    python -m benchmarks.reload BUNDLE [RELOADS] [CLIENTS]

The bundle folder must hold two versions: index two pools into it, one after the other. CURRENT is
put back at the end. An answer is mixed when it is not what its `index_version` alone would give.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import httpx

from benchmarks.running import Service, machine, service

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
    """Search until told to stop; single queries and batches in turn."""
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
    """Print the tally; exit 1 when anything failed or mixed."""
    bundle = Path(sys.argv[1])
    reloads, clients = (int(word) for word in [*sys.argv[2:], "20", "16"][:2])
    current = (bundle / "CURRENT").read_text().strip()
    try:
        with service(bundle, TUSOU_TIMEOUT_MS="30000") as running:
            tally = asyncio.run(swap(running, bundle, reloads, clients))
    finally:
        point(bundle, current)
    answers = " + ".join(str(count) for count in tally.answers.values())
    print(machine())
    print(
        f"{reloads} reloads under {clients} clients: {answers} batches answered, "
        f"{tally.failed} failed, {tally.mixed} mixed, slowest {tally.slowest:.2f} s"
    )
    sys.exit(1 if tally.failed or tally.mixed else 0)


if __name__ == "__main__":
    main()
