"""Time of `tusou index` after 100 images have been added, against building all.

python -m benchmarks.reuse
python -m benchmarks.reuse --full

Images are drawn by `tusou toy`. With the demo model, both builds are run, each in a process of its
own. It encodes an image in a millisecond, so starting Python counts for much; therefore the update
is also timed with a ViT-B/16 of random weights. Its pool is indexed with stand-in vectors, which
cost no encoding, and the time of building all follows from that of two small builds.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import numpy as np
from tusou_indexer.build import BATCH_ROWS, BuildSpec, build

from benchmarks.record import record
from benchmarks.stock import save_random_model
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Pixels, Vectors
from tusou.encoders import ResolvedEncoder
from tusou.encoders.architecture import ImageShape

TUSOU = [sys.executable, "-m", "tusou"]
FULL, SMALL = 30_000, 3_000
# Full batches of a small build and of a larger one.
_SMALL_BUILDS = (BATCH_ROWS, 3 * BATCH_ROWS)


@dataclass(frozen=True, slots=True)
class Pools:
    """Image files: all images, and all but those that are added later."""

    all: Path
    before: Path
    more: int


def main() -> None:
    """Draw the images, time the builds and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{FULL} images instead of {SMALL}")
    parser.add_argument("--more", type=int, default=100, help="images added")
    arguments = parser.parse_args()
    items = FULL if arguments.full else SMALL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pools = draw(folder, items, arguments.more)
        save_random_model(folder / "vit-b-16.pt")
        figures: dict[str, object] = {
            "images": items,
            "added": arguments.more,
            "demo": measured(folder, pools),
            "ViT-B/16": estimated(folder, pools, items + arguments.more),
            "goal": "1/50",
        }
    record("reuse", figures)


def draw(folder: Path, items: int, more: int) -> Pools:
    """Draw a pool; the images added later stand between the others."""
    size = ["--items", str(items + more), "--queries", "1", "--seed", "3", "--splits", "test"]
    subprocess.run(
        [*TUSOU, "toy", str(folder / "data"), *size], check=True, stdout=subprocess.DEVNULL
    )
    pool, before = folder / "data" / "MR_test_imgs.tsv", folder / "before.tsv"
    lines = pool.read_bytes().splitlines(keepends=True)
    later = set(np.linspace(0, len(lines) - 1, more).astype(int).tolist())
    before.write_bytes(b"".join(line for row, line in enumerate(lines) if row not in later))
    return Pools(pool, before, more)


def measured(folder: Path, pools: Pools) -> dict[str, object]:
    """Run the update and the build of all with the demo model, and compare their bytes."""
    index(pools.before, folder / "demo", "demo")
    update, updated = index(pools.all, folder / "demo", "demo")
    everything, alone = index(pools.all, folder / "demo-alone", "demo")
    return {
        "update_seconds": round(update, 2),
        "encoded": updated["encoded"],
        "reused": updated["reused"],
        "building_all_seconds": round(everything, 2),
        "times_faster": round(everything / update, 1),
        "same_version": updated["version"] == alone["version"],
    }


def estimated(folder: Path, pools: Pools, items: int) -> dict[str, object]:
    """Run the update of a ViT-B/16, and estimate the build of all from two small ones."""
    model = folder / "vit-b-16.pt"
    spec = BuildSpec(str(pools.before), str(model), device="cpu")
    with patch("tusou_indexer.build.open_image_encoder", StandIn):
        build(spec, folder / "large", NoProgress())
    lines = pools.all.read_bytes().splitlines(keepends=True)
    small = []
    for count in _SMALL_BUILDS:
        pool = folder / f"{count}.tsv"
        pool.write_bytes(b"".join(lines[:count]))
        small.append(index(pool, folder / f"large-{count}", str(model))[0])
    update, report = index(pools.all, folder / "large", str(model))
    each = (small[1] - small[0]) / (_SMALL_BUILDS[1] - _SMALL_BUILDS[0])
    everything = small[0] + each * (items - _SMALL_BUILDS[0])
    return {
        "update_seconds": round(update, 2),
        "encoded": report["encoded"],
        "reused": report["reused"],
        "seconds_for_an_image": round(each, 4),
        "building_all_seconds_estimated": round(everything),
        "times_faster": round(everything / update, 1),
    }


class StandIn:
    """Returns random unit vectors in place of those of the images."""

    def __init__(self, resolved: ResolvedEncoder) -> None:
        shape = resolved.shape
        assert isinstance(shape, ImageShape)
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution
        self.precision = resolved.precision
        self._random = np.random.default_rng(1)

    def encode(self, pixels: Pixels) -> Vectors:
        """Return one unit row per image."""
        vectors = self._random.normal(size=(len(pixels), self.dim)).astype(np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def index(pool: Path, out: Path, model: str) -> tuple[float, dict[str, object]]:
    """Run `tusou index`; return its seconds and its report."""
    command = [*TUSOU, "index", str(pool), "--out", str(out), "--model", model, "--device", "cpu"]
    started = perf_counter()
    done = subprocess.run([*command, "--json"], check=True, stdout=subprocess.PIPE)
    report: dict[str, object] = json.loads(done.stdout)
    return perf_counter() - started, report


if __name__ == "__main__":
    main()
