"""Time of `tusou index` after 100 images have been added, against building all.

python -m benchmarks.reuse
python -m benchmarks.reuse --full

Images are drawn by `tusou toy`, and multiplied by a number after their last byte, which no decoder
reads. With the demo model, both builds are run, each in a process of its own. It encodes an image
in a millisecond, so starting Python counts for much; therefore the update of 30,000 images is also
timed with a ViT-B/16 of random weights. Its pool has stand-in vectors, which cost no encoding, and
the time of building all follows from that of two small builds, without its index.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
from tusou_indexer.build import BATCH_ROWS, SHARD_ROWS
from tusou_indexer.build_inputs import BuildInputs, library_versions
from tusou_indexer.build_models import record_model
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.model_shards import ModelShards
from tusou_indexer.plan import Plan, make_plan, scan_source
from tusou_indexer.publish import publish
from tusou_indexer.write_bundle import BundleRecipe, write_bundle

from benchmarks.record import record
from benchmarks.stock import save_random_model, structured
from tusou.bundle.content import content_digest
from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.bundle.shards import Shard, ShardStore
from tusou.data import open_pool
from tusou.encoders import find_weights, resolve_encoder

TUSOU = [sys.executable, "-m", "tusou"]
FULL, SMALL = 30_000, 3_000
_DRAWN = 300
# Full batches of a small build and of a larger one.
_SMALL_BUILDS = (BATCH_ROWS, 3 * BATCH_ROWS)


def main() -> None:
    """Draw the images, time the builds and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"run both builds of {FULL} images")
    parser.add_argument("--items", type=int, help="images that both builds are run of")
    parser.add_argument("--more", type=int, default=100, help="images added")
    arguments = parser.parse_args()
    more, items = arguments.more, arguments.items or (FULL if arguments.full else SMALL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = draw(folder)
        figures: dict[str, object] = {"added": more, "goal": "1/50"}
        figures["demo"] = {"images": items, **measured(folder, images, items, more)}
        record("reuse", figures)
        save_random_model(folder / "vit-b-16.pt")
        figures["ViT-B/16"] = {"images": FULL, **estimated(folder, images, FULL, more)}
        record("reuse", figures)


def draw(folder: Path) -> list[bytes]:
    """Draw images."""
    size = ["--items", str(_DRAWN), "--queries", "1", "--seed", "3", "--splits", "test"]
    command = [*TUSOU, "toy", str(folder / "data"), *size]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "data" / "MR_test_imgs.tsv").read_bytes().splitlines()
    return [base64.b64decode(line.partition(b"\t")[2]) for line in lines]


def write_pools(path: Path, images: list[bytes], items: int, more: int) -> tuple[Path, Path]:
    """Write an image file, and another one without the images added later, between the others."""
    later = set(np.linspace(0, items + more - 1, more).astype(int).tolist())
    everything, before = path.with_suffix(".all.tsv"), path.with_suffix(".before.tsv")
    with everything.open("wb") as one, before.open("wb") as other:
        for row in range(items + more):
            image = images[row % len(images)] + row.to_bytes(8, "little")
            line = f"{row}.jpg#zhc#0\t".encode() + base64.b64encode(image) + b"\n"
            one.write(line)
            if row not in later:
                other.write(line)
    return everything, before


def measured(folder: Path, images: list[bytes], items: int, more: int) -> dict[str, object]:
    """Run the update and the build of all with the demo model, and compare their bytes."""
    everything, before = write_pools(folder / "demo-pool", images, items, more)
    index(before, folder / "demo", "demo")
    update, updated = index(everything, folder / "demo", "demo")
    all_seconds, alone = index(everything, folder / "demo-alone", "demo")
    return {
        "update_seconds": round(update, 2),
        "encoded": updated["encoded"],
        "reused": updated["reused"],
        "building_all_seconds": round(all_seconds, 2),
        "times_faster": round(all_seconds / update, 1),
        "same_version": updated["version"] == alone["version"],
    }


def estimated(folder: Path, images: list[bytes], items: int, more: int) -> dict[str, object]:
    """Run the update of a ViT-B/16, and estimate the build of all from two small ones."""
    everything, before = write_pools(folder / "pool", images, items, more)
    model = folder / "vit-b-16.pt"
    small = []
    for count in _SMALL_BUILDS:
        pool, _ = write_pools(folder / f"small-{count}", images, count, 0)
        index(pool, folder / f"bundle-{count}", str(model), "--force")
        small.append(index(pool, folder / f"bundle-{count}", str(model), "--force")[0])
    publish_stand_in(folder / "bundle", before, model)
    update, report = index(everything, folder / "bundle", str(model))
    each = (small[1] - small[0]) / (_SMALL_BUILDS[1] - _SMALL_BUILDS[0])
    all_seconds = small[0] + each * (items + more - _SMALL_BUILDS[0])
    return {
        "update_seconds": round(update, 2),
        "encoded": report["encoded"],
        "reused": report["reused"],
        "seconds_for_an_image": round(each, 4),
        "building_all_seconds_estimated": round(all_seconds),
        "times_faster": round(all_seconds / update, 1),
    }


def publish_stand_in(root: Path, pool: Path, model: Path) -> None:
    """Publish a bundle of a pool as `tusou index` does, with structured vectors for the images'."""
    weights = find_weights(str(model))
    resolved = resolve_encoder(weights, "image", "cpu")
    precision, backend = resolved.precision, resolved.backend
    inputs = BuildInputs(
        str(pool.resolve()),
        None,
        "",
        weights.digest,
        "cpu",
        precision,
        backend,
        SHARD_ROWS,
        BATCH_ROWS,
        "none",
        64,
        library_versions(backend),
    )
    root.mkdir()
    plan = make_plan(root / "plan", inputs, scan_source(open_pool(str(pool))))
    store = ShardStore(root / "shards", plan.digest)
    vectors = structured(len(plan), resolved.shape.embed_dim, 1)
    for number in range(plan.shard_count):
        rows = np.array(plan.shard(number), np.int64)
        digests = list(read_digests(plan, number))
        checks = np.array([check for check, _ in digests], np.int64)
        contents = np.frombuffer(b"".join(content for _, content in digests), np.uint8)
        store.write(number, Shard(rows, checks, contents.reshape(len(rows), -1)), vectors[rows])
    recipe = BundleRecipe(record_model([resolved], [1.0]), (weights,), IndexRequest("Flat"))
    write_bundle(plan, ModelShards([store]), recipe, root / "next")
    publish(root, root / "next")


def read_digests(plan: Plan, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield checksum and content digest of each image of a shard."""
    with ItemReader(plan.paths) as reader:
        for _, *span in plan.spans(plan.shard(number)).tolist():
            stored = reader.read(*span)
            image = decode_stored_image(stored, plan.source.encoding)
            yield crc32(stored), content_digest(image)


def index(pool: Path, out: Path, model: str, *options: str) -> tuple[float, dict[str, object]]:
    """Run `tusou index`; return its seconds and its report."""
    command = [*TUSOU, "index", str(pool), "--out", str(out), "--model", model, "--device", "cpu"]
    started = perf_counter()
    done = subprocess.run([*command, "--json", *options], check=True, stdout=subprocess.PIPE)
    report: dict[str, object] = json.loads(done.stdout)
    return perf_counter() - started, report


if __name__ == "__main__":
    main()
