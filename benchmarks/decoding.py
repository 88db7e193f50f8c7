"""Time and memory of decoding images in a worker process, beside decoding in a thread.

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
from tusou.images.transform import ImageTransform

TRANSFORM, ROUNDS = ImageTransform(224), 60


def main() -> None:
    """Time both on two image sizes, measure the memory of the processes, and record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    figures: dict[str, object] = {}
    for side, rounds in ((800, ROUNDS), (4000, ROUNDS // 6)):
        figures[f"JPEG of {side} x {side}"] = asyncio.run(compare_decoding(jpeg(side), rounds))
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), items=300)
        with (
            service(bundle) as running,
            httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client,
        ):
            client.post("/search", json={"query": "裙"}).raise_for_status()
            figures["service that saw texts alone"] = memory_of(running.pid)
            headers = {"Content-Type": "image/jpeg", "X-Request-Timeout-Ms": "30000"}
            client.post("/search/image", content=jpeg(800), headers=headers).raise_for_status()
            figures["after an image"] = memory_of(running.pid)
    record("decoding", figures)


def jpeg(side: int) -> bytes:
    """Return a JPEG that takes as long to decode as a photograph."""
    blocks = np.random.default_rng(1).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


async def compare_decoding(image: bytes, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of both, which alternate, and those of the first image."""
    pool = DecodePool(1, 4, lambda: None)
    started = perf_counter()
    await pool.decode(image, TRANSFORM, asyncio.get_running_loop().time() + 60)
    first = perf_counter() - started
    in_thread: list[float] = []
    in_process: list[float] = []
    for _ in range(rounds):
        started = perf_counter()
        await asyncio.to_thread(lambda: to_pixels(open_image(image), TRANSFORM))
        in_thread.append(perf_counter() - started)
        started = perf_counter()
        await pool.decode(image, TRANSFORM, asyncio.get_running_loop().time() + 60)
        in_process.append(perf_counter() - started)
    pool.close()
    return {
        "in a thread, median ms": round(statistics.median(in_thread) * 1000, 2),
        "in a process, median ms": round(statistics.median(in_process) * 1000, 2),
        "the first, which starts the process, ms": round(first * 1000),
    }


def memory_of(pid: int) -> dict[str, object]:
    """Return the resident MB of a service and of each process that it has started."""
    own = subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)], text=True)
    listing = subprocess.run(
        ["ps", "-o", "rss=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    children = [round(int(rss) / 1024) for rss in listing.stdout.split()]
    return {"service MB": round(int(own) / 1024), "decoders MB": children}


if __name__ == "__main__":
    main()
