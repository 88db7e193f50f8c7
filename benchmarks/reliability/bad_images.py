"""Indexes good images among damaged and hostile ones; counts crashes, memory, and what is skipped.

python -m benchmarks.reliability.bad_images            300 images
python -m benchmarks.reliability.bad_images --full     5,000 images
"""

import argparse
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import numpy as np
from PIL import Image
from tusou_service.images.decode_worker import decode_upload

from benchmarks.record import record
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import FAILURES
from tusou.images.workers import ImageWorkers

SIDE = 200
SAMPLE_SECONDS = 0.02


def main() -> None:
    """Build the pools, index them and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="5,000 images instead of 300")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    count = 5000 if arguments.full else 300
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), count, random.Random(arguments.seed))
        record("reliability.bad_images", figures)


def measure(folder: Path, count: int, generator: random.Random) -> dict[str, object]:
    """Return the figures; crashes must be 0, and skipped and planted the same."""
    good, mixed = folder / "good", folder / "mixed"
    good.mkdir()
    mixed.mkdir()
    kinds = list(BAD.items())
    planted: set[str] = set()
    for number in range(count):
        name, data = f"{number:05}", good_image(number)
        if number % 2:
            kind, make = kinds[number // 2 % len(kinds)]
            name, data = f"{number:05}-{kind}", make(data)
            planted.add(name)
        else:
            (good / f"{name}.jpg").write_bytes(data)
        (mixed / f"{name}.jpg").write_bytes(data)
    index(good, folder / "warm")  # the first build may convert the model
    plain_mb, _ = index(good, folder / "plain")
    mixed_mb, seconds = index(mixed, folder / "bundle")
    lines = Bundle.open(folder / "bundle").path(FAILURES).read_text("utf-8").splitlines()
    skipped = {json.loads(line)["item_id"] for line in lines}
    return {
        "images": count,
        "planted": len(planted),
        "skipped": len(skipped),
        "skipped but good": len(skipped - planted),
        "planted but taken": len(planted - skipped),
        "crashes of decoders, mutated images": crashes(count, generator),
        "peak memory of all processes, good images, MB": plain_mb,
        "peak memory, rise by the planted, MB": mixed_mb - plain_mb,
        "seconds": round(seconds, 1),
    }


def index(pool: Path, out: Path) -> tuple[int, float]:
    """Index a pool in a process; return the peak of the memory in MB, and the seconds."""
    command = [sys.executable, "-m", "tusou", "index", str(pool), "--out", str(out)]
    command += ["--model", "demo", "--max-bad", "100%"]
    started, peak = monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as build:
        while build.poll() is None:
            peak = max(peak, resident_kb(build.pid))
            sleep(SAMPLE_SECONDS)
    if build.returncode:
        raise SystemExit("the build has failed")
    return peak // 1024, monotonic() - started


def resident_kb(pid: int) -> int:
    """Return the memory of a process and its children, shared pages counted once."""
    try:
        status = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        others = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has ended
        return 0
    own = next((line for line in status.splitlines() if line.startswith("Pss:")), "Pss: 0")
    descendants = {*children, *(child for group in others for child in group)}
    return int(own.split()[1]) + sum(resident_kb(int(child)) for child in descendants)


def crashes(count: int, generator: random.Random) -> int:
    """Decode mutated images of all formats in workers; return how many workers were lost."""
    seeds = [encoded(noise(number), form) for number, form in enumerate(FORMATS)]
    lost: list[int] = []
    with ImageWorkers(decode_upload, 2, on_crash=lambda: lost.append(1)) as workers:
        jobs = ((mutated(generator.choice(seeds), generator), 64, 64) for _ in range(count))
        for _ in workers.map(jobs):
            pass
    return len(lost)


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Return a file with a few bytes changed, most of them near its beginning."""
    changed = bytearray(data)
    for _ in range(generator.randint(1, 8)):
        position = min(int(generator.expovariate(0.01)), len(changed) - 1)
        changed[position] = generator.randrange(256)
    return bytes(changed)


def noise(seed: int) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(blocks).resize((SIDE, SIDE))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def good_image(number: int) -> bytes:
    return encoded(noise(number), FORMATS[number % len(FORMATS)])


def png_header(width: int, height: int) -> bytes:
    """Return a PNG of one colour; its file is small, whatever its size."""
    rows = (b"\0" + b"\0" * width) * height
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(rows, 1),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts.items()
    )


def many_scans(_: bytes) -> bytes:
    """Return a progressive JPEG whose last scan is repeated 20,000 times."""
    data = encoded(noise(1), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 20_000 + b"\xff\xd9"


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
_BOMB = png_header(9000, 9000)
_SCANS = many_scans(b"")
# Kinds of bad files: each function turns a good file into one that must be skipped.
BAD: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"<html>not found</html>",
    "cut": lambda _: encoded(noise(2), "JPEG")[:-600],
    "cut-header": lambda data: data[:10],
    "bomb": lambda _: _BOMB,
    "scans": lambda _: _SCANS,
    "too-large": lambda data: data + bytes(9 * 2**20),
    "float": lambda _: encoded(Image.new("F", (9, 9)), "TIFF"),
    "jpeg-xl": lambda _: b"\xff\x0a" + bytes(100),
}


if __name__ == "__main__":
    main()
