"""The optimiser settings of cn_clip: AdamW, no decay on norms and biases, cosine with warm-up."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW, Optimizer

MAX_GRADIENT = 1.0


def make_optimiser(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    *,
    transformer: bool,
    lr_factor: Callable[[str], float] = lambda _: 1.0,
) -> AdamW:
    """Return AdamW with cn_clip's settings for a ViT (`transformer`) or a ResNet.

    `lr_factor` takes the name of a parameter; each group keeps its factor as `lr_factor`.
    """
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if _is_undecayed(name, parameter) else weight_decay
            groups.setdefault((decay, lr_factor(name)), []).append(parameter)
    betas, eps = ((0.9, 0.98), 1e-6) if transformer else ((0.9, 0.999), 1e-8)
    return AdamW(
        [
            {"params": parameters, "weight_decay": decay, "lr_factor": factor}
            for (decay, factor), parameters in groups.items()
        ],
        lr=lr,
        betas=betas,
        eps=eps,
        # One pass over the weights; torch's default on a CPU takes one for each operation.
        fused=True if on_cpu else None,
    )


def set_learning_rate(optimiser: Optimizer, lr: float) -> None:
    """Set the rate of a step, times the factor of each group."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)


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
    """Compute a forward pass in `fp32`, `bf16` or `fp16`; its attention is fast backward too."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    with (
        training_attention(device),
        torch.autocast(device.type, dtype, enabled=precision != "fp32"),
    ):
        yield


def training_attention(device: torch.device) -> AbstractContextManager[None]:
    """Choose the attention whose backward pass is fast, within the block."""
    # On a CPU the backward pass of fused attention is slower than plain matrix products.
    kernel: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return kernel if device.type == "cpu" else nullcontext()


def update(model: nn.Module, optimiser: Optimizer, loss: Tensor) -> None:
    """Take one step of the optimiser with clipped gradients."""
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT)
    optimiser.step()
