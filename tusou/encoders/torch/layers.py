"""Linear layers, layer norms and attention of the towers.

On x86-64 linear layers call oneDNN through `torch.ops.mkldnn`, which is not public: torch's own
`linear` takes 1.1 times as long for texts in fp32 and 1.2 to 1.3 times for images and in bf16 (2
cores of an Intel Xeon with AMX, 2026-11-30, torch 2.12; `python -m benchmarks.linear`).
pyproject.toml pins torch, and where the operators are missing torch's own is used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from tusou.core.hardware import is_x86

# Activations computed within a linear layer; swish(x) = x * sigmoid(x), and gelu is the exact one.
Activation = Literal["none", "gelu", "gelu_tanh", "swish"]

# Not public, and without a public equivalent; torch's compiler generates calls of these.
_ONEDNN = torch.ops.mkldnn

_ACTIVATIONS = {
    "none": None,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "swish": functional.silu,
}
# oneDNN's names of them, and of the algorithm that its gelu requires; "none" is the exact one.
_ONEDNN_ACTIVATIONS = {
    "none": ("none", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "swish": ("swish", ""),
}

# The row count that oneDNN packs the weights for; other counts are as fast with that packing.
_USUAL_ROWS = 64


# (..., in) to activation(rows @ weight.T + bias), in the precision of the weights; rows of another
# precision are converted.
LinearLayer: TypeAlias = Callable[[Tensor], Tensor]


def linear_layer(weight: Tensor, bias: Tensor, activation: Activation = "none") -> LinearLayer:
    """Return the faster implementation for the device and precision of the weights."""
    if weight.device.type == "cpu" and _can_pack(weight.dtype):
        return _PackedLinear(weight, bias, activation)
    return _PlainLinear(weight, bias, activation)


def _can_pack(precision: torch.dtype) -> bool:
    """Return whether oneDNN supports this precision here: x86-64 only, bf16 only with AVX512."""
    if not is_x86() or not hasattr(_ONEDNN, "_linear_pointwise"):
        return False
    if precision == torch.bfloat16:
        return bool(_ONEDNN._is_mkldnn_bf16_supported())  # noqa: SLF001
    return precision == torch.float32


class _PackedLinear:
    """A linear layer of oneDNN with packed weights; on AMD twice as fast as torch's in fp32."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._dtype = weight.dtype
        self._weight = _ONEDNN._reorder_linear_weight(weight, _USUAL_ROWS)  # noqa: SLF001
        self._bias = bias
        self._activation, self._algorithm = _ONEDNN_ACTIVATIONS[activation]

    def __call__(self, rows: Tensor) -> Tensor:
        result: Tensor = _ONEDNN._linear_pointwise(  # noqa: SLF001
            rows.to(self._dtype), self._weight, self._bias, self._activation, [], self._algorithm
        )
        return result


class _PlainLinear:
    """A linear layer of torch, for GPUs and for processors without the oneDNN operators."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._weight, self._bias = weight, bias
        self._activate = _ACTIVATIONS[activation]

    def __call__(self, rows: Tensor) -> Tensor:
        result = functional.linear(rows.to(self._weight.dtype), self._weight, self._bias)
        return self._activate(result) if self._activate else result


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """A layer norm in float32: in half precision the sums over the layers would lose digits."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, rows: Tensor) -> Tensor:
        return functional.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class Block:
    """The parts of one transformer layer; the tower decides whether norms come first or last."""

    qkv: LinearLayer  # query, key and value in one layer
    out: LinearLayer
    attention_norm: LayerNorm
    up: LinearLayer
    down: LinearLayer
    mlp_norm: LayerNorm


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
) -> Tensor:
    """Return the attention of (n, q, width) queries to (n, m, width) keys and values, per item.

    A mask (n, 1, 1, m) is added to the scores, or tells which keys count if it is of bool. If
    `causal`, which takes no mask, each query attends to the keys up to its own position.
    """

    def split(rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape[:2], heads, -1).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(
        split(query), split(key), split(value), mask, is_causal=causal
    )
    return mixed.transpose(1, 2).flatten(2)


def avoid_cudnn_attention(device: torch.device) -> None:
    """Disable cuDNN's attention in this process if the device is a GPU.

    On an H100 or H200 torch 2.12 prefers cuDNN, which plans for some tenths of a second for every
    new count and length of texts (https://github.com/pytorch/pytorch/pull/155958).
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)
