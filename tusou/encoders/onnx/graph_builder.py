"""Building blocks of the towers' ONNX graphs.

The graphs are built by hand, as those of OpenVINO are: what `torch.onnx.export` traces from
cn_clip's modules has up to twice the nodes, computes the last layer for tokens that nothing reads,
and takes most of a minute for a ViT-B/16.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from tusou.encoders.torch.layers import Activation
from tusou.encoders.tower_weights import Affine

Node: TypeAlias = str  # the name of a node's output

# The oldest with a layer norm of its own, so that every runtime since 2022 can read the graphs.
OPSET = 17
_IR_VERSION = 8  # the file format that came with it
_FLOAT = TensorProto.FLOAT


class OnnxGraph:
    """Collects the nodes and constants of one graph, all in float32."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: Node, **attributes: Any) -> Node:
        """Add a node of an ONNX operator with one output."""
        return self._add(kind, inputs, 1, attributes)[0]

    def split(self, rows: Node, count: int) -> list[Node]:
        """Split the last axis into equal parts."""
        return self._add("Split", (rows,), count, {"axis": -1})

    def _add(
        self, kind: str, inputs: tuple[Node, ...], outputs: int, attributes: dict[str, Any]
    ) -> list[Node]:
        number = len(self._nodes)
        names = [f"{kind}_{number}" + (f"_{each}" if each else "") for each in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, name=names[0], **attributes))
        return names

    def constant(self, value: Tensor | npt.NDArray[Any] | float) -> Node:
        """Add a constant; numbers with a fraction become float32."""
        array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def ints(self, *values: int) -> Node:
        """Add a vector of int64, such as axes or a shape."""
        return self.constant(np.array(values, np.int64))

    def linear(self, rows: Node, linear: Affine, activation: Activation = "none") -> Node:
        """Return activation(rows @ weight.T + bias)."""
        weight, bias = linear
        product = self.add("MatMul", rows, self.constant(weight.T))
        return self.activate(self.add("Add", product, self.constant(bias)), activation)

    def activate(self, rows: Node, activation: Activation) -> Node:
        """Apply an activation; the exact gelu has the order that runtimes fuse."""
        if activation == "none":
            return rows
        if activation == "swish":
            return self.add("Mul", rows, self.add("Sigmoid", rows))
        if activation == "gelu_tanh":
            cube = self.add("Mul", self.add("Mul", rows, rows), rows)
            inner = self.add("Add", rows, self.add("Mul", cube, self.constant(0.044715)))
            bent = self.add("Tanh", self.add("Mul", inner, self.constant((2 / np.pi) ** 0.5)))
            half = self.add("Mul", rows, self.constant(0.5))
            return self.add("Mul", half, self.add("Add", bent, self.constant(1.0)))
        error = self.add("Erf", self.add("Div", rows, self.constant(2**0.5)))
        product = self.add("Mul", rows, self.add("Add", error, self.constant(1.0)))
        return self.add("Mul", product, self.constant(0.5))

    def norm(self, rows: Node, weights: Affine, eps: float) -> Node:
        """Return the layer norm of rows."""
        weight, bias = map(self.constant, weights)
        return self.add("LayerNormalization", rows, weight, bias, axis=-1, epsilon=eps)

    def heads(self, rows: Node, qkv: Affine, heads: int) -> list[Node]:
        """Return query, key and value of (n, tokens, width) rows, each (n, heads, tokens, ...).

        Keys are transposed, and the scale of the scores is multiplied into the query's weights.
        """
        width = len(qkv[1]) // 3
        scale = (width // heads) ** -0.5
        weight, bias = (part.clone() for part in qkv)
        weight[:width] *= scale
        bias[:width] *= scale
        parts = self.split(self.linear(rows, (weight, bias)), 3)
        shape = self.ints(0, 0, heads, width // heads)
        query, key, value = (self.add("Reshape", part, shape) for part in parts)
        return [
            self.add("Transpose", query, perm=[0, 2, 1, 3]),
            self.add("Transpose", key, perm=[0, 2, 3, 1]),
            self.add("Transpose", value, perm=[0, 2, 1, 3]),
        ]

    def attend(self, parts: list[Node], width: int, mask: Node | None = None) -> Node:
        """Return the attention of what `heads` returns, concatenated into (n, tokens, width)."""
        query, key, value = parts
        scores = self.add("MatMul", query, key)
        if mask is not None:
            scores = self.add("Add", scores, mask)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        mixed = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.add("Reshape", mixed, self.ints(0, 0, width))

    def first(self, rows: Node, axis: int) -> Node:
        """Return the first entry of an axis, which stays."""
        return self.add("Slice", rows, self.ints(0), self.ints(1), self.ints(axis))

    def unit_vectors(self, rows: Node) -> Node:
        """Scale rows (n, dim) to length one."""
        return self.add("LpNormalization", rows, axis=-1, p=2)

    def model(self, inputs: list[onnx.ValueInfoProto], vectors: Node, dim: int) -> onnx.ModelProto:
        """Return the finished model, whose output `vectors` is (batch, dim)."""
        self._nodes.append(helper.make_node("Identity", [vectors], ["vectors"], name="vectors"))
        output = helper.make_tensor_value_info("vectors", _FLOAT, ["batch", dim])
        graph = helper.make_graph(self._nodes, "tower", inputs, [output], self._constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="tusou"
        )


def image_input(side: int) -> onnx.ValueInfoProto:
    """Return the input `images`, (batch, side, side, 3) uint8 in RGB."""
    return helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", side, side, 3])


def normalised_images(builder: OnnxGraph, mean: tuple[float, ...], std: tuple[float, ...]) -> Node:
    """Return (batch, 3, side, side) from the input `images`; mean and std are of 0 to 1."""
    scale, shift = (builder.constant(255 * np.array(values)) for values in (std, mean))
    floats = builder.add("Cast", "images", to=_FLOAT)
    floats = builder.add("Div", builder.add("Sub", floats, shift), scale)
    return builder.add("Transpose", floats, perm=[0, 3, 1, 2])
