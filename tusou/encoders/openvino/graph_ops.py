"""Building blocks of the towers' OpenVINO graphs.

The graphs are built by hand: those that `openvino.convert_model` traces from the torch towers take
1.4 to 1.5 times as long for texts in int8, 1.2 times for a single image in fp32 and 1.6 times in
bf16, though less time for texts in fp32 and bf16 (2 shared cores of an Intel Xeon with AMX,
2026-11-30, OpenVINO 2026.4; `python -m benchmarks.converted`).
"""

from typing import Any, TypeAlias

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from torch import Tensor

from tusou.encoders.torch.layers import Activation
from tusou.encoders.tower_weights import Affine

Node: TypeAlias = Any  # openvino's own types are not for mypy

_GELUS = {"gelu": "erf", "gelu_tanh": "tanh"}
_MAX_BYTE = 127  # the largest signed byte whose negative is one, too
_TINY = 1e-12  # prevents division by zero
_ONE = torch.tensor(1.0)


class GraphBuilder:
    """Builds the operations whose type depends on the precision: linear layers and attention.

    In bf16, linear layers and attention are bf16; the sums over the layers, and the norms, stay in
    float32. In int8, weights have one scale per output, and inputs are quantised when they are
    computed, in groups of numbers of a row (`runtime.py`).
    """

    def __init__(self, precision: str) -> None:
        self._precision = precision

    def linear(self, rows: Node, linear: Affine, activation: Activation = "none") -> Node:
        """Return activation(rows @ weight.T + bias)."""
        weight, bias = linear
        product = ops.matmul(self.cast(rows), self._weight(weight), False, True)  # noqa: FBT003
        result = ops.add(product, self._constant(bias))
        if activation in _GELUS:
            return ops.gelu(result, _GELUS[activation])
        return ops.swish(result, self._constant(_ONE)) if activation == "swish" else result

    def heads(self, rows: Node, qkv: Affine, heads: int, leading: list[int]) -> list[Node]:
        """Return query, key and value, each (n, heads, tokens, width of a head).

        `leading` is the shape of the rows without their last axis. The scale of the attention
        scores is multiplied into the query's weights.
        """
        width = len(qkv[1]) // 3
        scale = (width // heads) ** -0.5
        weight, bias = (torch.cat([part[:width] * scale, part[width:]]) for part in qkv)
        joined = self.linear(rows, (weight, bias))
        joined = ops.reshape(joined, ints(*leading, 3, heads, width // heads), special_zero=True)
        parts = ops.split(ops.transpose(joined, ints(2, 0, 3, 1, 4)), integer(0), 3)
        return [ops.squeeze(part, ints(0)) for part in parts.outputs()]

    def attend(self, query: Node, key: Node, value: Node, mask: Node, shape: list[int]) -> Node:
        """Return the attention of all heads, concatenated into rows of this shape."""
        scale = self._constant(_ONE)
        mixed = ops.scaled_dot_product_attention(query, key, value, mask, scale, causal=False)
        mixed = ops.transpose(mixed, ints(0, 2, 1, 3))
        return ops.reshape(mixed, ints(*shape), special_zero=True)

    def cast(self, node: Node) -> Node:
        """Convert numbers to the type that linear layers and attention compute in."""
        if self._precision != "bf16" or node.get_element_type() == openvino.Type.bf16:
            return node
        return ops.convert(node, "bf16")

    def _weight(self, weight: Tensor) -> Node:
        if self._precision != "int8":
            return self._constant(weight)
        numbers = weight.numpy()
        scale = np.maximum(np.abs(numbers).max(1, keepdims=True) / _MAX_BYTE, np.float32(_TINY))
        whole = ops.constant(np.round(numbers / scale).astype(np.int8))
        return ops.multiply(ops.convert(whole, "f32"), ops.constant(scale))

    def _constant(self, numbers: Tensor) -> Node:
        if self._precision != "bf16":
            return ops.constant(numbers.numpy())
        tensor = openvino.Tensor(openvino.Type.bf16, openvino.Shape(list(numbers.shape)))
        # numpy has no bf16
        tensor.data.view(np.int16)[...] = numbers.bfloat16().view(torch.int16).numpy()
        return ops.constant(tensor)


def norm(rows: Node, weights: Affine, eps: float) -> Node:
    """Return the layer norm of rows in float32."""
    weight, bias = (ops.constant(part.numpy()) for part in weights)
    normed = ops.mvn(rows, ints(-1), normalize_variance=True, eps=eps, eps_mode="inside_sqrt")
    return ops.add(ops.multiply(normed, weight), bias)


def to_float32(node: Node) -> Node:
    """Convert numbers to float32 unless they are."""
    return node if node.get_element_type() == openvino.Type.f32 else ops.convert(node, "f32")


def take(rows: Node, indices: Node, axis: int = 0) -> Node:
    """Gather rows by index."""
    return ops.gather(rows, indices, integer(axis))


def unit_vectors(rows: Node, projection: Tensor, bias: Tensor | None = None) -> Node:
    """Multiply rows by a projection (width, dim), and scale them to length one."""
    projected = project(rows, projection)
    if bias is not None:
        projected = ops.add(projected, ops.constant(bias.numpy()))
    length = ops.reduce_l2(projected, ints(1), keep_dims=True)
    return ops.divide(projected, ops.maximum(length, number(_TINY)))


def project(rows: Node, projection: Tensor) -> Node:
    """Multiply rows by a matrix (width, dim) in float32."""
    return ops.matmul(rows, ops.constant(projection.numpy()), False, False)  # noqa: FBT003


def number(value: float) -> Node:
    """Return a float32 scalar."""
    return ops.constant(np.float32(value))


def integer(value: int) -> Node:
    """Return an int64 scalar."""
    return ops.constant(np.int64(value))


def ints(*values: int) -> Node:
    """Return a vector of int64, such as axes or a shape."""
    return ops.constant(np.array(values, np.int64))
