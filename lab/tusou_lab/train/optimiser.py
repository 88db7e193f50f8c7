"""cn_clip's optimiser settings: AdamW, no decay on norms and biases, cosine with warm-up."""

from math import cos, pi

from torch import nn
from torch.optim import AdamW


def make_optimiser(model: nn.Module, lr: float, weight_decay: float, *, transformer: bool) -> AdamW:
    """Set AdamW up as cn_clip does for a ViT or for a ResNet."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if _undecayed(name, p)], "weight_decay": 0.0},
        {
            "params": [p for name, p in named if not _undecayed(name, p)],
            "weight_decay": weight_decay,
        },
    ]
    betas, eps = ((0.9, 0.98), 1e-6) if transformer else ((0.9, 0.999), 1e-8)
    return AdamW(groups, lr=lr, betas=betas, eps=eps)


def _undecayed(name: str, parameter: nn.Parameter) -> bool:
    # BERT calls its norms LayerNorm, which cn_clip's test for "ln" misses: their shape tells.
    return parameter.ndim < 2 or "bias" in name or "logit_scale" in name


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Rise linearly over a twentieth of the steps, then fall along a cosine to zero."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return peak * (step + 1) / warmup
    return 0.5 * peak * (1 + cos(pi * (step - warmup) / (steps - warmup)))
