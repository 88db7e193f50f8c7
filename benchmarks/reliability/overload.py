"""Overload: goodput and latency at ten times the load that a service can answer, open loop.

python -m benchmarks.reliability.overload
"""

import argparse
import asyncio
import base64
import io
import json
import random
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from PIL import Image

from benchmarks.http import make_bundle
from benchmarks.record import record
from benchmarks.reliability.clients import KeepAliveClient, Outcomes, post, search_request
from benchmarks.running import service
from benchmarks.stock import queries, save_random_model
from benchmarks.text_projection import fit_text_projection

_PEAK_CLIENTS = 16  # in a closed loop
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


def main() -> None:
    """Run and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="60 s at each load instead of 8")
    parser.add_argument("--images", action="store_true", help="queries with images")
    arguments = parser.parse_args()
    seconds = 60.0 if arguments.full else 8.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "vit-b-16.pt"
        save_random_model(model)
        fit_text_projection(model)
        bundle = make_bundle(folder, model)
        environment = {**_ENVIRONMENT, "TUSOU_IMAGE_QUERIES": "on" if arguments.images else "off"}
        with service(bundle, **environment) as running:
            figures = asyncio.run(measure(running.url, seconds, arguments.images))
    file_name = "overload-images" if arguments.images else "overload"
    record("reliability.overload", figures, file_name, save=arguments.full)


async def measure(url: str, seconds: float, images: bool) -> dict[str, object]:
    """Return the figures of the peak, at 80 % of it, at ten times it, and soon after."""
    requests = [image_request(n) for n in range(20)] if images else text_requests()
    await closed_loop(url, requests, 2.0)
    peak = await closed_loop(url, requests, seconds)
    normal, _ = await open_loop(url, requests, 0.8 * peak, seconds)
    overload, goodput = await open_loop(url, requests, 10 * peak, seconds)
    after, _ = await open_loop(url, requests, 0.5 * peak, 2.0)
    return {
        "peak, answers per s": round(peak, 1),
        "80 %": _figures(normal),
        "10x": {
            **_figures(overload),
            "goodput of peak": round(goodput / peak, 3),
            "accepted p99 by that at 80 %": round(overload.p99_ms() / normal.p99_ms(), 2),
        },
        "at half the peak, the 2 s after": _figures(after),
    }


def text_requests() -> list[bytes]:
    """Return searches with texts, different ones."""
    return [search_request(text) for text in queries(2000)]


def image_request(seed: int) -> bytes:
    """Return a search with a photo of 400 x 400, of noise."""
    noise = random.Random(seed).randbytes(3 * 50 * 50)
    image = Image.frombytes("RGB", (50, 50), noise).resize((400, 400))
    image.save(stream := io.BytesIO(), "JPEG")
    body = {"image": base64.b64encode(stream.getvalue()).decode()}
    return post("/search", json.dumps(body).encode())


async def closed_loop(url: str, requests: list[bytes], seconds: float) -> float:
    """Return the answers per second to clients that send one request after another."""
    outcomes, until = Outcomes(), perf_counter() + seconds

    async def send(seed: int) -> None:
        client, choose = KeepAliveClient(url, outcomes), random.Random(seed)
        while perf_counter() < until:
            status, _ = await client.send(choose.choice(requests))
            if status != 200:
                await asyncio.sleep(0.05)
        client.close()

    await asyncio.gather(*(send(seed) for seed in range(_PEAK_CLIENTS)))
    return outcomes.statuses[200] / seconds


async def open_loop(
    url: str, requests: list[bytes], per_second: float, seconds: float
) -> tuple[Outcomes, float]:
    """Send at random moments, whatever is answered; return outcomes and answers per second."""
    outcomes, idle, choose = Outcomes(), list[KeepAliveClient](), random.Random(1)

    async def send(request: bytes) -> None:
        client = idle.pop() if idle else KeepAliveClient(url, outcomes)
        await client.send(request)
        idle.append(client)

    started = perf_counter()
    due = started
    tasks = set()
    while (now := perf_counter()) < started + seconds:
        while due <= now:
            tasks.add(task := asyncio.create_task(send(choose.choice(requests))))
            task.add_done_callback(tasks.discard)
            due += choose.expovariate(per_second)
        await asyncio.sleep(max(0.0, due - perf_counter()))
    goodput = outcomes.statuses[200] / seconds
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return outcomes, goodput


def _figures(outcomes: Outcomes) -> dict[str, object]:
    figures: dict[str, object] = {
        "statuses": outcomes.counts(),
        "lost": outcomes.lost,
    }
    for status, seconds in outcomes.seconds.items():
        if len(seconds) > 1:
            cuts = statistics.quantiles(seconds, n=100)
            figures[f"{status}: p50, ms"] = round(1000 * cuts[49], 1)
            figures[f"{status}: p99, ms"] = round(1000 * cuts[98], 1)
    return figures


if __name__ == "__main__":
    main()
