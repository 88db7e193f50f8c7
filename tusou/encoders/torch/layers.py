"""The building blocks of a tower: products with weights laid out once for the processor."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tusou.core.hardware import is_x86

# oneDNN's name for an activation done inside the product; swish(x) = x * sigmoid(x).
Activation = Literal["none", "gelu", "swish"]

# Not public, and without a public equal: the products that torch's own compiler generates.
_ONEDNN = torch.ops.mkldnn

ACTIVATE = {"none": None, "gelu": functional.gelu, "swish": functional.silu}

# The row count oneDNN lays weights out for; other counts run as fast with the same layout.
_USUAL_ROWS = 64


class Product(Protocol):
    """Rows (n, in) to activation(rows @ weight.T + bias), (n, out)."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Compute in the precision of the weights, whatever that of the rows."""
        ...


def product(weight: Tensor, bias: Tensor, activation: Activation = "none") -> Product:
    """Pick the faster of the two products for where the weights are."""
    if weight.device.type == "cpu" and _can_pack(weight.dtype):
        return _PackedProduct(weight, bias, activation)
    return _PlainProduct(weight, bias, activation)


def _can_pack(precision: torch.dtype) -> bool:
    """Tell whether oneDNN has been seen to compute it here: on x86-64, bf16 only with AVX512."""
    if not is_x86() or not hasattr(_ONEDNN, "_linear_pointwise"):
        return False
    if precision == torch.bfloat16:
        return bool(_ONEDNN._is_mkldnn_bf16_supported())  # noqa: SLF001
    return precision == torch.float32


class _PackedProduct:
    """A product by oneDNN, over twice as fast as torch's own in float32 off Intel processors."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._dtype = weight.dtype
        self._weight = _ONEDNN._reorder_linear_weight(weight, _USUAL_ROWS)  # noqa: SLF001
        self._bias = bias
        # Without an algorithm oneDNN's gelu would be refused; "none" is the exact one, by erf.
        self._activation = activation
        self._algorithm = "none" if activation == "gelu" else ""

    def __call__(self, rows: Tensor) -> Tensor:
        found: Tensor = _ONEDNN._linear_pointwise(  # noqa: SLF001
            rows.to(self._dtype), self._weight, self._bias, self._activation, [], self._algorithm
        )
        return found


class _PlainProduct:
    """A product by torch, for GPUs and for builds of torch without oneDNN."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._weight, self._bias = weight, bias
        self._activate = ACTIVATE[activation]

    def __call__(self, rows: Tensor) -> Tensor:
        found = functional.linear(rows.to(self._weight.dtype), self._weight, self._bias)
        return self._activate(found) if self._activate else found


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm, always in float32: in half precision the sums over layers lose digits."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, rows: Tensor) -> Tensor:
        """Normalise each float32 row."""
        return functional.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class Block:
    """One transformer layer's parts; whether the norms come before or after is the tower's."""

    qkv: Product  # query, key and value in one product
    out: Product
    attention_norm: Norm
    up: Product
    down: Product
    mlp_norm: Norm


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None
) -> Tensor:
    """Attend within each of n texts or images: (n, q, width) to keys and values (n, m, width).

    A mask (n, 1, 1, m) is added to the scores of the keys.
    """

    def split(rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape[:2], heads, -1).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(split(query), split(key), split(value), mask)
    return mixed.transpose(1, 2).flatten(2)


def avoid_cudnn_attention(device: torch.device) -> None:
    """Have torch's attention on a GPU use kernels that take any shape as it comes.

    On an H100 or H200 torch 2.12 would ask cuDNN first, which plans for some tenths of a second
    for every count and length of texts that it has not seen
    (https://github.com/pytorch/pytorch/pull/155958). This is a setting of the whole process.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)
