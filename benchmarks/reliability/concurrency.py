"""Concurrent answers compared with those to the same queries one after another.

python -m benchmarks.reliability.concurrency
"""

import argparse
import asyncio
import json
import random

from benchmarks.record import record
from benchmarks.reliability.clients import KeepAliveClient, Outcomes, search_request
from benchmarks.running import demo_service

CLIENTS, QUERIES = 64, 200
_WORDS = ("红色", "蓝色", "碎花", "连衣裙", "运动鞋", "背包", "纯棉", "儿童", "女士", "不要拉链的")


def main() -> None:
    """Run and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 answers instead of 2,000")
    full = parser.parse_args().full
    environment = {"TUSOU_TARGET_MS": "60000", "TUSOU_TIMEOUT_MS": "30000"}
    with demo_service(items=1_000, **environment) as running:
        figures = asyncio.run(measure(running.url, 100_000 if full else 2_000))
    record("reliability.concurrency", figures, save=full)


async def measure(url: str, count: int) -> dict[str, object]:
    """Return how many concurrent answers differ, and by how much their scores do."""
    generator, outcomes = random.Random(1), Outcomes()
    queries = ["".join(generator.sample(_WORDS, 3)) + str(n) for n in range(QUERIES)]
    client = KeepAliveClient(url, outcomes)
    expected = [await _answer(client, query) for query in queries]
    client.close()
    left, differing, largest = iter(range(count)), 0, 0.0

    async def send() -> None:
        nonlocal differing, largest
        client = KeepAliveClient(url, outcomes)
        for _ in left:
            number = generator.randrange(QUERIES)
            ids, scores = await _answer(client, queries[number])
            differing += ids != expected[number][0]
            pairs = zip(scores, expected[number][1], strict=False)
            largest = max(largest, *(abs(a - b) for a, b in pairs), 0.0)
        client.close()

    await asyncio.gather(*(send() for _ in range(CLIENTS)))
    return {
        "answers": count,
        "clients": CLIENTS,
        "statuses": outcomes.counts(),
        "lost": outcomes.lost,
        "answers with other items": differing,
        "largest difference of a score": largest,
    }


async def _answer(client: KeepAliveClient, query: str) -> tuple[list[int], list[float]]:
    status, body = await client.send(search_request(query))
    if status != 200:
        return [], []
    answer = json.loads(body)
    return answer["item_ids"], answer["scores"]


if __name__ == "__main__":
    main()
