"""What decoding images in a process of their own costs, beside decoding in a thread.

python -m benchmarks.decoding
"""

import argparse
import asyncio
import io
import statistics
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
from PIL import Image
from tusou_service.images.decode_pool import DecodePool

from benchmarks.record import record
from benchmarks.running import demo_bundle, service
from tusou.images.preprocess import open_image, to_pixels

SIZE, ROUNDS = 224, 60


def main() -> None:
    """Time both on a photograph's sizes, weigh the processes, and record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    figures: dict[str, object] = {}
    for side, rounds in ((800, ROUNDS), (4000, ROUNDS // 6)):
        figures[f"JPEG of {side} x {side}"] = asyncio.run(compared(jpeg(side), rounds))
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), items=300)
        with service(bundle) as running, httpx.Client(base_url=running.url, timeout=30) as client:
            client.post("/search", json={"query": "裙"}).raise_for_status()
            figures["service that saw texts alone"] = weigh(running.pid)
            headers = {"Content-Type": "image/jpeg", "X-Request-Timeout-Ms": "30000"}
            client.post("/search/image", content=jpeg(800), headers=headers).raise_for_status()
            figures["after an image"] = weigh(running.pid)
    record("decoding", figures)


def jpeg(side: int) -> bytes:
    """Draw something as hard to decode as a photograph."""
    blocks = np.random.default_rng(1).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


async def compared(image: bytes, rounds: int) -> dict[str, float]:
    """Median milliseconds of both ways, in turn, and of the first image."""
    pool = DecodePool(1, 4, lambda: None)
    started = perf_counter()
    await pool.decode(image, SIZE)
    first = perf_counter() - started
    here: list[float] = []
    beside: list[float] = []
    for _ in range(rounds):
        started = perf_counter()
        await asyncio.to_thread(lambda: to_pixels(open_image(image), SIZE))
        here.append(perf_counter() - started)
        started = perf_counter()
        await pool.decode(image, SIZE)
        beside.append(perf_counter() - started)
    pool.close()
    return {
        "in a thread, median ms": round(statistics.median(here) * 1000, 2),
        "in a process, median ms": round(statistics.median(beside) * 1000, 2),
        "the first, which starts the process, ms": round(first * 1000),
    }


def weigh(pid: int) -> dict[str, object]:
    """Resident MB of a service and of each process it has started."""
    shown = subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)], text=True)
    listed = subprocess.run(
        ["ps", "-o", "rss=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    children = [round(int(rss) / 1024) for rss in listed.stdout.split()]
    return {"service MB": round(int(shown) / 1024), "decoders MB": children}


if __name__ == "__main__":
    main()
