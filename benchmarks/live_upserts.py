"""Upserts a second over HTTP: with vectors given, and with images to encode beside encoding alone.

python -m benchmarks.live_upserts

A service has a small pool and a random ViT-B/16, whose speed is that of a trained one. Two clients
send batches of `POST /items/batch` at the same time. Encoding alone is measured in turn with the
upserts: by the same service (`POST /v1/embeddings`), and by the model in this process, in the
service's batches of images.
"""

import argparse
import base64
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import httpx
import numpy as np
from tusou_service.images.query_encoder import MAX_IMAGE_BATCH

from benchmarks.http import DIM, ENVIRONMENT, make_bundle
from benchmarks.record import record
from benchmarks.running import service
from benchmarks.stock import jpegs, save_random_model
from benchmarks.vector_bundle import unit_vectors
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.pipeline import SearchPipeline

_SIDE = 400  # of the images, in pixels
_CLIENTS = 2
_GIVEN_BATCH, _ENCODED_BATCH = 256, 16
_ITEMS = 3000
# Ids are used again, so that there are fewer live items than a compaction begins with.
_FIRST_ID, _IDS = 100_000, 900
_TIMEOUT_MS = "30000"

Part = TypeVar("Part")


class UpsertClient:
    """Batches of requests to a service, on several connections at once."""

    def __init__(self, url: str) -> None:
        headers = {"X-Request-Timeout-Ms": _TIMEOUT_MS}
        self._client = httpx.Client(base_url=url, timeout=60, headers=headers, trust_env=False)
        self._next = 0

    def upsert(self, images: Sequence[str], vectors: Sequence[str] | None, batch: int) -> None:
        """Store images under ids of their own, and return when all are on the disk."""
        operations = []
        for position, image in enumerate(images):
            item_id = _FIRST_ID + self._next % _IDS
            attributes = {"title": "碎花连衣裙", "price": 99.0}
            self._next += 1
            operation = {"op": "upsert", "item_id": item_id, "image": image}
            given = {"vector": vectors[position]} if vectors else {}
            operations.append({**operation, "attributes": attributes, **given})
        bodies = [{"operations": each} for each in _parts(operations, batch)]
        for response in self._post("/items/batch", bodies):
            failed = [each for each in response.json()["results"] if "problem" in each]
            if failed:
                raise SystemExit(f"an upsert failed: {failed[0]}")

    def embed(self, images: Sequence[str], batch: int) -> None:
        """Encode images without storing anything."""
        uris = [f"data:image/jpeg;base64,{image}" for image in images]
        self._post(
            "/v1/embeddings", [{"model": "any", "input": each} for each in _parts(uris, batch)]
        )

    def _post(self, path: str, bodies: Sequence[object]) -> list[httpx.Response]:
        with ThreadPoolExecutor(_CLIENTS) as threads:
            responses = list(threads.map(lambda body: self._client.post(path, json=body), bodies))
        for response in responses:
            if response.status_code != 200:
                raise SystemExit(f"{path} answered {response.status_code}: {response.text}")
        return responses


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--given", type=int, default=2048, help="upserts with vectors a round")
    parser.add_argument("--encoded", type=int, default=32, help="images to encode a round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    images = [base64.b64encode(data).decode() for data in jpegs(arguments.encoded, _SIDE)]
    drawn = unit_vectors(arguments.given, 1, DIM)
    vectors = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in drawn]
    given_images = [images[number % len(images)] for number in range(arguments.given)]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "vit-b-16.pt")
        save_random_model(model)
        bundle = make_bundle(Path(folder), model, _ITEMS)
        encode = _encoder(bundle, jpegs(arguments.encoded, _SIDE))
        settings = {"TUSOU_LIVE": "on", "TUSOU_COMPACT_MB": "100000", **ENVIRONMENT}
        with service(bundle, **settings) as running:
            client = UpsertClient(running.url)
            tasks: dict[str, tuple[int, Callable[[], object]]] = {
                "upserts, vectors given": (
                    arguments.given,
                    lambda: client.upsert(given_images, vectors, _GIVEN_BATCH),
                ),
                "upserts, images encoded": (
                    arguments.encoded,
                    lambda: client.upsert(images, None, _ENCODED_BATCH),
                ),
                "images encoded by the service, nothing stored": (
                    arguments.encoded,
                    lambda: client.embed(images, _ENCODED_BATCH),
                ),
                "images encoded by the model alone": (arguments.encoded, encode),
            }
            rates = _measure(tasks, arguments.rounds)
    figures: dict[str, object] = {f"{name}, per s": round(rate, 1) for name, rate in rates.items()}
    upserts, embedded, alone = list(rates.values())[1:]
    figures["upserts of images, ratio to the service's encoding"] = round(upserts / embedded, 3)
    figures["upserts of images, ratio to the model alone"] = round(upserts / alone, 3)
    figures["kilobytes of an image"] = round(np.mean([len(each) for each in images]) * 0.00075, 1)
    record("live_upserts", figures)


def _encoder(bundle: Path, files: Sequence[bytes]) -> Callable[[], object]:
    """Return a function that decodes and encodes image files as the service does."""
    pipeline = SearchPipeline.open(bundle)
    pipeline.load_image_tower()

    def encode() -> None:
        for part in _parts(files, MAX_IMAGE_BATCH):
            pixels = [to_pixels(open_image(data), pipeline.transform) for data in part]
            pipeline.encode_images(np.stack(pixels))

    return encode


def _measure(tasks: dict[str, tuple[int, Callable[[], object]]], rounds: int) -> dict[str, float]:
    """Return the median rate of each task, a second; their rounds alternate."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, (_, task) in tasks.items():
            started = perf_counter()
            task()
            if number:  # the first one loads the image tower
                seconds[name].append(perf_counter() - started)
    return {name: count / float(np.median(seconds[name])) for name, (count, _) in tasks.items()}


def _parts(rows: Sequence[Part], size: int) -> list[Sequence[Part]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


if __name__ == "__main__":
    main()
