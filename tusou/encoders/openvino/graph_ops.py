"""The parts that both towers' graphs are made of."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import openvino
import torch
from openvino import opset13 as ops
from torch import Tensor

from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.torch.layers import Activation

Node: TypeAlias = Any  # openvino's own types are not for mypy
Floats: TypeAlias = npt.NDArray[np.float32]
Table: TypeAlias = npt.NDArray[np.float16 | np.float32]
Linear: TypeAlias = tuple[Floats, Floats]  # weight (out, in) and bias (out,)
Norm: TypeAlias = Callable[[Node], Node]

_MOST = 127  # the largest byte that has its negative
_TINY = 1e-12  # nothing is divided by zero


class Parts:
    """A tower's tensors, as numpy's arrays and as what takes them."""

    def __init__(self, tensors: TensorReader) -> None:
        self._tensors = tensors
        self.finish = tensors.finish

    def floats(self, name: str, *shape: int) -> Floats:
        """Take a tensor in single precision."""
        return _floats(self._tensors.take(name, *shape))

    def table(self, name: str, *shape: int) -> Table:
        """Take a table as stored where that is float16: a row is widened when it is looked up."""
        tensor = self._tensors.take(name, *shape)
        return tensor.numpy() if tensor.dtype == torch.float16 else _floats(tensor)

    def linear(self, name: str, out: int, width: int) -> Linear:
        """Take a product's weight and bias."""
        return self.floats(f"{name}.weight", out, width), self.floats(f"{name}.bias", out)

    def norm(self, name: str, width: int, eps: float) -> Norm:
        """Take a layer norm, always in float32."""
        weight, bias = self.floats(f"{name}.weight", width), self.floats(f"{name}.bias", width)

        def norm(rows: Node) -> Node:
            even = ops.mvn(rows, ints(-1), normalize_variance=True, eps=eps, eps_mode="inside_sqrt")
            return ops.add(ops.multiply(even, ops.constant(weight)), ops.constant(bias))

        return norm


class Maker:
    """What a precision decides: products, and what lies between a product and attention.

    In bf16 the products and attention are; what is added up over the layers, and the norms, stay in
    float32. In int8 weights have a scale an output, and inputs are quantised as they come, in
    groups along a row (`compiled.py`).
    """

    def __init__(self, precision: str) -> None:
        self._precision = precision

    def product(self, rows: Node, linear: Linear, activation: Activation = "none") -> Node:
        """Compute activation(rows @ weight.T + bias)."""
        weight, bias = linear
        found = ops.matmul(self.between(rows), self._weight(weight), False, True)  # noqa: FBT003
        found = ops.add(found, self._constant(bias))
        if activation == "gelu":
            return ops.gelu(found, "erf")
        return ops.swish(found, self._constant(np.float32(1))) if activation == "swish" else found

    def heads(self, rows: Node, qkv: list[Linear], heads: int, leading: list[int]) -> list[Node]:
        """Compute query, key and value of each head, (n, heads, tokens, width of a head).

        `leading` is the shape that the rows get before they are cut into heads. The scale of the
        scores is in the query's weights.
        """
        (weight, bias), *others = qkv
        width = len(bias) // heads
        scale = np.float32(width**-0.5)
        weights, biases = zip((weight * scale, bias * scale), *others, strict=True)
        found = self.product(rows, (np.concatenate(weights), np.concatenate(biases)))
        found = ops.reshape(found, ints(*leading, 3, heads, width), special_zero=True)
        found = ops.split(ops.transpose(found, ints(2, 0, 3, 1, 4)), integer(0), 3)
        return [ops.squeeze(part, ints(0)) for part in found.outputs()]

    def attend(self, query: Node, key: Node, value: Node, mask: Node, shape: list[int]) -> Node:
        """Mix values by scores, and put the heads side by side in rows of this shape."""
        scale = self._constant(np.float32(1))
        mixed = ops.scaled_dot_product_attention(query, key, value, mask, scale, causal=False)
        mixed = ops.transpose(mixed, ints(0, 2, 1, 3))
        return ops.reshape(mixed, ints(*shape), special_zero=True)

    def between(self, node: Node) -> Node:
        """Bring numbers to the type that products take."""
        if self._precision != "bf16" or node.get_element_type() == openvino.Type.bf16:
            return node
        return ops.convert(node, "bf16")

    def _weight(self, weight: Floats) -> Node:
        if self._precision != "int8":
            return self._constant(weight)
        scale = np.maximum(np.abs(weight).max(1, keepdims=True) / _MOST, np.float32(_TINY))
        whole = ops.constant(np.round(weight / scale).astype(np.int8))
        return ops.multiply(ops.convert(whole, "f32"), ops.constant(scale))

    def _constant(self, numbers: Floats | np.float32) -> Node:
        return _bf16(numbers) if self._precision == "bf16" else ops.constant(numbers)


def wide(node: Node) -> Node:
    """Bring numbers to float32."""
    return node if node.get_element_type() == openvino.Type.f32 else ops.convert(node, "f32")


def take(rows: Node, which: Node, axis: int = 0) -> Node:
    """Take rows by number."""
    return ops.gather(rows, which, integer(axis))


def unit_vectors(rows: Node, projection: Floats) -> Node:
    """Multiply rows by (width, dim), and bring them to length one."""
    found = ops.matmul(rows, ops.constant(projection), False, False)  # noqa: FBT003
    length = ops.reduce_l2(found, ints(1), keep_dims=True)
    return ops.divide(found, ops.maximum(length, number(_TINY)))


def number(value: float) -> Node:
    """Make a float32 of no axis."""
    return ops.constant(np.float32(value))


def integer(value: int) -> Node:
    """Make an int64 of no axis."""
    return ops.constant(np.int64(value))


def ints(*values: int) -> Node:
    """Make a row of int64: axes, a shape."""
    return ops.constant(np.array(values, np.int64))


def _floats(tensor: Tensor) -> Floats:
    numbers: Floats = tensor.float().numpy()
    return numbers


def _bf16(numbers: Floats | np.float32) -> Node:
    """Round to bf16, for which numpy has no type."""
    array = np.asarray(numbers)
    bits = torch.from_numpy(np.atleast_1d(array)).to(torch.bfloat16).view(torch.int16).numpy()
    tensor = openvino.Tensor(openvino.Type.bf16, openvino.Shape(list(array.shape)))
    tensor.data.view(np.int16)[...] = bits.reshape(array.shape)
    return ops.constant(tensor)
