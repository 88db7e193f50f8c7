"""The optimiser settings of cn_clip: AdamW, no decay on norms and biases, cosine with warm-up."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW, Optimizer

_MAX_GRADIENT = 1.0


def make_optimiser(model: nn.Module, lr: float, weight_decay: float, *, transformer: bool) -> AdamW:
    """Return AdamW with cn_clip's settings for a ViT (`transformer`) or a ResNet."""
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in parameters if _is_undecayed(name, p)], "weight_decay": 0.0},
        {
            "params": [p for name, p in parameters if not _is_undecayed(name, p)],
            "weight_decay": weight_decay,
        },
    ]
    betas, eps = ((0.9, 0.98), 1e-6) if transformer else ((0.9, 0.999), 1e-8)
    return AdamW(groups, lr=lr, betas=betas, eps=eps)


def _is_undecayed(name: str, parameter: nn.Parameter) -> bool:
    # cn_clip looks for "ln" in the name, which misses BERT's LayerNorm; one dimension covers both.
    return parameter.ndim < 2 or "bias" in name or "logit_scale" in name


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate of a step: linear warm-up over a twentieth of `steps`, then cosine to 0."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return peak * (step + 1) / warmup
    return 0.5 * peak * (1 + cos(pi * (step - warmup) / (steps - warmup)))


@contextmanager
def training_precision(device: torch.device, precision: str) -> Iterator[None]:
    """Compute a forward pass in `fp32` or `bf16`, with the faster attention for its backward."""
    # On a CPU the backward pass of fused attention is slower than plain matrix products.
    kernel = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with kernel, torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        yield


def update(model: nn.Module, optimiser: Optimizer, loss: Tensor) -> None:
    """Take one step of the optimiser with clipped gradients."""
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT)
    optimiser.step()
