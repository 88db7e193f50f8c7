"""The service against a minimal one: ViT-B/16, 30,000 vectors, clients in a closed loop."""

import asyncio
import base64
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.build_models import record_model
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.model_shards import ModelShards
from tusou_indexer.plan import make_plan, scan_source
from tusou_indexer.publish import publish
from tusou_indexer.write_bundle import BundleRecipe, write_bundle

from benchmarks.running import Service, free_port, service, started
from benchmarks.stock import queries, save_random_model, structured
from benchmarks.text_projection import fit_text_projection
from tusou.bundle.content import DIGEST_BYTES
from tusou.bundle.manifest import VECTORS
from tusou.bundle.shards import Shard, ShardStore
from tusou.data.formats.image_lines import open_image_file
from tusou.encoders import find_weights, resolve_encoder

ITEMS, DIM, SHARD = 30_000, 512, 2048
DISTINCT_TEXTS = 2000
# All clients are answered, however long they wait: the throughput is measured.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "TUSOU_TARGET_MS": "30000"}


def measure_http(seconds: float, clients: tuple[int, ...]) -> dict[str, object]:
    """Load both services in turn, for `seconds` with each number of clients."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = folder / "vit-b-16.pt"
        save_random_model(model)
        fit_text_projection(model)
        bundle = make_bundle(folder, model)
        vectors = next(bundle.glob(f"*/{VECTORS}"))
        with service(bundle, **ENVIRONMENT) as first:  # converts the weights and keeps the result
            first_ready = first.ready_seconds
        ours = stack.enter_context(service(bundle, TUSOU_TIMEOUT_MS="30000", **ENVIRONMENT))
        plain = stack.enter_context(plain_service(model, vectors))
        index = json.loads(next(bundle.glob("*/manifest.json")).read_bytes())["index"]
        figures: dict[str, object] = {
            "index": f"{index['factory']} {index['tuning']}".strip(),
            "tusou first start to ready, s": round(first_ready, 1),
            "tusou start to ready, s": round(ours.ready_seconds, 1),
            "tusou memory, MB": round(ours.resident_mb()),
            "plain memory, MB": round(plain.resident_mb()),
        }
        for count in clients:
            figures[f"{count} clients"] = {
                "plain": drive(plain, count, seconds),
                "tusou": drive(ours, count, seconds),
            }
        figures["tusou memory after, MB"] = round(ours.resident_mb())
        return figures


def make_bundle(folder: Path, model: Path, items: int = ITEMS) -> Path:
    """Publish a bundle of structured vectors in place of encoded images."""
    pool, root = folder / "imgs.tsv", folder / "bundle"
    image = base64.b64encode(b"an image").decode()
    pool.write_text("".join(f"{item}\t{image}\n" for item in range(items)))
    weights = find_weights(str(model))
    tower = resolve_encoder(weights, "image", "cpu", "fp32", "torch")
    record = record_model([tower], [1.0])
    inputs = BuildInputs(
        str(pool), None, "", weights.digest, "cpu", "fp32", "torch", SHARD, 64, "none", 64, {}
    )
    plan = make_plan(folder / "plan", inputs, scan_source(open_image_file(pool)))
    store = ShardStore(folder / "shards", plan.digest)
    vectors = structured(items, DIM, 1)
    for number in range(plan.shard_count):
        rows = np.array(plan.shard(number), np.int64)
        contents = np.zeros((len(rows), DIGEST_BYTES), np.uint8)
        store.write(number, Shard(rows, np.zeros_like(rows), contents), vectors[rows])
    root.mkdir()
    write_bundle(
        plan, ModelShards([store]), BundleRecipe(record, (weights,), IndexRequest()), root / "next"
    )
    publish(root, root / "next")
    return root


def plain_service(model: Path, vectors: Path) -> AbstractContextManager[Service]:
    """Run `benchmarks.plain_service` until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.plain_service:app"]
    command += ["--port", str(port), "--log-level", "error"]
    environment = {"MODEL": str(model), "VECTORS": str(vectors), **ENVIRONMENT}
    return started(command, port, environment)


def drive(
    target: Service, clients: int, seconds: float, texts: int = DISTINCT_TEXTS
) -> dict[str, float]:
    """Run the clients, with that many texts, in a separate process and return their figures."""
    command = [sys.executable, "-m", "benchmarks.http", target.url, str(clients), str(seconds)]
    command.append(str(texts))
    return dict(json.loads(subprocess.check_output(command, text=True)))


@dataclass(slots=True)
class LoadRun:
    """Latencies and failures of all clients."""

    until: float
    latencies: list[float] = field(default_factory=list)
    failed: int = 0


async def send_queries(host: str, port: int, texts: "itertools.cycle[str]", run: LoadRun) -> None:
    """Send queries on one connection, each after the last response."""
    reader, writer = await asyncio.open_connection(host, port)
    while (started := time.perf_counter()) < run.until:
        body = json.dumps({"query": next(texts)}).encode()
        writer.write(
            b"POST /search HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        run.latencies.append(time.perf_counter() - started)
        run.failed += b" 200 " not in head.split(b"\r\n")[0]
    writer.close()


async def run_clients(
    url: str, clients: int, seconds: float, distinct: int = DISTINCT_TEXTS
) -> dict[str, float]:
    """Run that many clients at once and return their figures; no percentiles of fewer than two."""
    host, port = url.removeprefix("http://").split(":")
    texts = itertools.cycle(queries(distinct))
    await asyncio.gather(
        *(send_queries(host, int(port), texts, LoadRun(0)) for _ in range(clients))
    )
    started = time.perf_counter()
    run = LoadRun(started + seconds)
    await asyncio.gather(*(send_queries(host, int(port), texts, run) for _ in range(clients)))
    elapsed = time.perf_counter() - started
    figures: dict[str, float] = {
        "queries_per_s": round((len(run.latencies) - run.failed) / elapsed, 1),
        "failed": run.failed,
    }
    if len(run.latencies) > 1:
        cuts = statistics.quantiles(run.latencies, n=100, method="inclusive")
        figures |= {"p50_ms": round(1000 * cuts[49], 1), "p99_ms": round(1000 * cuts[98], 1)}
    return figures


if __name__ == "__main__":
    address, number, duration, distinct = sys.argv[1:]
    figures = asyncio.run(run_clients(address, int(number), float(duration), int(distinct)))
    print(json.dumps(figures))
