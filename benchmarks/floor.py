"""The machine's matrix rate and bandwidth, and the shortest times of the towers at these rates."""

import statistics
import time
from collections.abc import Callable

import torch

from tusou.encoders.torch.layers import linear_layer

# Weights that each token or patch is multiplied by in ViT-B/16: 12 layers of 12 x 768 x 768.
_WEIGHTS = 12 * 12 * 768**2
_POSITIONS = 197  # of an image, class token included
IMAGE_FLOPS = 2 * _WEIGHTS * _POSITIONS
_ROWS = 512


def measure_floor(rounds: int) -> dict[str, float]:
    """Measure matrix rates and bandwidth, and derive the least times of ViT-B/16."""
    figures = {
        f"{name} TFLOP/s": round(_rate(dtype, rounds) / 1e12, 3)
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }
    bandwidth = _bandwidth(rounds)
    best = max(figures.values()) * 1e12
    return figures | {
        "read GB/s": round(bandwidth / 1e9, 1),
        "text of 8 tokens, alone, ms": round(1000 * _WEIGHTS * 2 / bandwidth, 2),
        "text of 8 tokens, in batches, ms": round(1000 * 2 * _WEIGHTS * 8 / best, 2),
        "image, ms": round(1000 * IMAGE_FLOPS / best, 2),
    }


@torch.inference_mode()
def _rate(dtype: torch.dtype, rounds: int) -> float:
    weight, bias = torch.randn(3072, 768).to(dtype), torch.zeros(3072, dtype=dtype)
    multiply, rows = linear_layer(weight, bias), torch.randn(_ROWS, 768).to(dtype)
    return 2 * _ROWS * weight.numel() / fastest(lambda: multiply(rows), 4 * rounds)


def _bandwidth(rounds: int) -> float:
    large = torch.ones(64 * 2**20)
    return large.nbytes / fastest(large.sum, rounds)


def fastest(work: Callable[[], object], rounds: int) -> float:
    """Return the seconds of a call, the tenth percentile of `rounds` calls."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.quantiles(times[1:], n=10)[0]
