"""Benchmark of a CUDA device: indexing, towers, search, and queries in process and over HTTP.

make bench-gpu

It needs no network. Without a CUDA device it exits with a message and measures nothing;
`--device cpu --images 60 --seconds 0.2` tries the script out and records nothing.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from benchmarks import gpu_encoders
from benchmarks.floor import fastest
from benchmarks.gpu_queries import in_process
from benchmarks.gpu_search import compare_indexes
from benchmarks.http import drive
from benchmarks.record import record
from benchmarks.running import Service, service
from benchmarks.stock import jpegs, save_random_model
from benchmarks.text_projection import fit_text_projection

GOALS = {
    "30,000 images of 224 px to a published bundle, s": "8 or less",
    "encoding alone, share of the measured bf16 rate": "0.5",
    "one query in process, p50, ms": "1 or less",
    "HTTP, queries/s": "5,000 with p99 under 25 ms",
    "batch calls, queries/s": "50,000",
}
# One client process sends about a thousand requests a second at most.
_CLIENT_PROCESSES = 4
_CLIENTS = {"cuda": (1, 64, 256), "cpu": (1, 4, 8)}
_WORKERS = 4


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("No CUDA device on this machine: nothing was measured.")
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), args.device, args.images, args.seconds)
    if args.device == "cuda":
        record("gpu", figures)
    else:
        print(json.dumps(figures, indent=2))


def measure(folder: Path, device: str, images: int, seconds: float) -> dict[str, object]:
    """Return all figures by name."""
    model, pool = folder / "vit-b-16.pt", folder / "imgs.tsv"
    bundle, torch_bundle = folder / "bundle", folder / "torch_bundle"
    save_random_model(model)
    fit_text_projection(model)
    write_pool(pool, images)
    rates = matrix_rates(device)
    figures: dict[str, object] = {"goals": GOALS, "device": describe(device)}
    figures["matrix rates, TFLOP/s"] = {name: round(rate / 1e12, 1) for name, rate in rates.items()}
    command = ["tusou", "index", str(pool), "--model", str(model), "--device", device]
    began = time.perf_counter()
    _run([*command, "--out", str(bundle)])
    figures["pool to published bundle, s"] = round(time.perf_counter() - began, 2)
    _run([*command, "--out", str(torch_bundle), "--index", "torch"])
    figures["images alone"] = gpu_encoders.images(model, device, rates["bf16"], seconds)
    figures["texts alone"] = gpu_encoders.texts(model, device, seconds)
    few, many, most = _CLIENTS[device]
    for name, path in (("default index", bundle), ("index in torch", torch_bundle)):
        figures[f"in process, {name}"] = in_process(path, device, seconds)
    figures["over HTTP, default index"] = over_http(bundle, device, 1, [many], seconds)
    for processes, clients in ((1, [few, many, most]), (_WORKERS, [many, most])):
        name = f"over HTTP, index in torch, {processes} workers"
        figures[name] = over_http(torch_bundle, device, processes, clients, seconds)
    figures["search"] = compare_indexes(device, max(1000, images), seconds)
    return figures


def write_pool(path: Path, count: int) -> None:
    """Write `count` items: a thousand JPEG images of 224 px, repeated."""
    lines = [base64.b64encode(data).decode() for data in jpegs(min(count, 1000), 224)]
    with path.open("w") as file:
        file.writelines(f"{item}\t{lines[item % len(lines)]}\n" for item in range(count))


def describe(device: str) -> dict[str, object]:
    """Return the versions of torch and CUDA, and the GPU."""
    description: dict[str, object] = {
        "torch": torch.__version__,
        "CUDA of torch": torch.version.cuda,
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        description["GPU"] = properties.name
        description["memory, GiB"] = round(properties.total_memory / 2**30)
    return description


@torch.inference_mode()
def matrix_rates(device: str) -> dict[str, float]:
    """Return the operations per second of large matrix products in each precision."""
    side = 8192 if device == "cuda" else 512
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        matrix = torch.randn(side, side, device=device).to(dtype)
        rates[name] = 2 * side**3 / fastest(partial(_multiply, matrix), 20)
    return rates


def over_http(
    bundle: Path, device: str, processes: int, clients: list[int], seconds: float
) -> dict[str, object]:
    """Measure a service with `processes` workers, at each number of clients."""
    figures: dict[str, object] = {}
    environment = {"TUSOU_DEVICE": device, "TUSOU_WORKERS": str(processes)}
    with service(bundle, TUSOU_MAX_BATCH="256", **environment) as running:
        figures["start to ready, s"] = round(running.ready_seconds, 1)
        figures["memory of the process with the model, MB"] = round(running.resident_mb())
        for count in clients:
            figures[f"{count} clients"] = drive_many(running, count, seconds)
    return figures


def drive_many(running: Service, clients: int, seconds: float) -> dict[str, float]:
    """Divide the clients among processes; add their rates, and take the worst latencies."""
    shares = [clients // _CLIENT_PROCESSES] * _CLIENT_PROCESSES
    shares = shares if shares[0] else [clients]
    with ThreadPoolExecutor(len(shares)) as threads:
        results = list(threads.map(lambda share: drive(running, share, seconds), shares))
    worst = {name: max(result[name] for result in results) for name in ("p50_ms", "p99_ms")}
    total = {name: sum(result[name] for result in results) for name in ("queries_per_s", "failed")}
    return {name: round(value, 1) for name, value in (total | worst).items()}


def _run(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL)


def _multiply(matrix: torch.Tensor) -> None:
    matrix @ matrix
    if matrix.is_cuda:
        torch.cuda.synchronize()  # a GPU returns before it has computed


if __name__ == "__main__":
    main()
