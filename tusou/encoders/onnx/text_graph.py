"""The text tower as an ONNX graph, equivalent to `TextTower`, over padded texts."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from tusou.encoders.architecture import TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.onnx.graph_builder import Node, OnnxGraph
from tusou.encoders.tower_weights import (
    TextHead,
    read_text_block,
    read_text_embeddings,
    read_text_head,
)

_MASKED = -1e4  # the score of padding: its exponential is zero, in float16 too


def text_graph(tensors: TensorReader, shape: TextShape) -> onnx.ModelProto:
    """Return a model from `ids`, (batch, length) int64 padded with 0, to unit `vectors`."""
    builder, width, is_clip = OnnxGraph(), shape.text_hidden_size, shape.layout == "clip"
    heads, places = shape.text_num_attention_heads, _Places(builder)
    rows = _embed(builder, tensors, shape)
    mask = places.causal_mask() if is_clip else places.mask()
    for layer in range(shape.text_num_hidden_layers):
        block = read_text_block(tensors, shape, layer)
        normed = builder.norm(rows, block.attention_norm, shape.eps) if is_clip else rows
        query, key, value = builder.heads(normed, block.qkv, heads)
        if layer == shape.text_num_hidden_layers - 1 and shape.pooling == "first":
            rows, query = builder.first(rows, 1), builder.first(query, 2)  # the others go unread
        mixed = builder.attend([query, key, value], width, mask)
        rows = builder.add("Add", rows, builder.linear(mixed, block.out))
        if is_clip:
            normed = builder.norm(rows, block.mlp_norm, shape.eps)
        else:
            normed = rows = builder.norm(rows, block.attention_norm, shape.eps)
        out = builder.linear(builder.linear(normed, block.up, block.activation), block.down)
        rows = builder.add("Add", rows, out)
        rows = rows if is_clip else builder.norm(rows, block.mlp_norm, shape.eps)
    if shape.pooling != "first":
        weights = places.ends() if shape.pooling == "last" else places.shares()
        rows = builder.add("MatMul", weights, rows)
    rows = builder.add("Squeeze", rows, builder.ints(1))
    vectors = _project(builder, rows, read_text_head(tensors, shape), shape.eps)
    tensors.finish()
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    return builder.model([ids], vectors, shape.embed_dim)


def _embed(builder: OnnxGraph, tensors: TensorReader, shape: TextShape) -> Node:
    words, table, norm = read_text_embeddings(tensors, shape)
    length = builder.add("Shape", "ids", start=1, end=2)
    first = builder.ints(0)
    positions = builder.add("Slice", builder.constant(table), first, length, first)
    rows = builder.add("Gather", builder.constant(words), "ids", axis=0)
    rows = builder.add("Add", rows, positions)
    return builder.norm(rows, norm, shape.eps) if norm else rows


def _project(builder: OnnxGraph, rows: Node, head: TextHead, eps: float) -> Node:
    """Make unit vectors of the pooled tokens."""
    if head.norm:
        rows = builder.norm(rows, head.norm, eps)
    if head.hidden is not None:
        rows = builder.activate(builder.add("MatMul", rows, builder.constant(head.hidden)), "gelu")
    rows = builder.add("MatMul", rows, builder.constant(head.projection))
    if head.bias is not None:
        rows = builder.add("Add", rows, builder.constant(head.bias))
    return builder.unit_vectors(rows)


class _Places:
    """Nodes that tell which tokens are padding, and which of the others make a text's vector."""

    def __init__(self, builder: OnnxGraph) -> None:
        self._builder = builder

    def mask(self) -> Node:
        """Return (batch, 1, 1, length), which is added to the scores of each key."""
        add = self._builder.add
        padding = add("Equal", "ids", self._builder.constant(np.array(0, np.int64)))
        return add("Unsqueeze", self._masked(padding), self._builder.ints(1, 2))

    def causal_mask(self) -> Node:
        """Return (length, length): a token sees those up to itself, among which is no padding."""
        add, ints = self._builder.add, self._builder.ints
        numbers = self._numbers()
        later = add("Less", add("Unsqueeze", numbers, ints(1)), add("Unsqueeze", numbers, ints(0)))
        return self._masked(later)

    def shares(self) -> Node:
        """Return (batch, 1, length): of each token of a text the same share, of padding none."""
        add, ints = self._builder.add, self._builder.ints
        real = self._real(TensorProto.FLOAT)
        shares = add("Div", real, add("ReduceSum", real, ints(1), keepdims=1))
        return add("Unsqueeze", shares, ints(1))

    def ends(self) -> Node:
        """Return (batch, 1, length): 1 for the last token of each text, else 0."""
        add, ints = self._builder.add, self._builder.ints
        counted = add("Mul", self._real(TensorProto.INT64), add("Add", self._numbers(), ints(1)))
        last = add("Equal", counted, add("ReduceMax", counted, axes=[1], keepdims=1))
        return add("Unsqueeze", add("Cast", last, to=TensorProto.FLOAT), ints(1))

    def _numbers(self) -> Node:
        """Return 0, 1, ... up to the length."""
        builder = self._builder
        length = builder.add("Shape", "ids", start=1, end=2)
        zero, one = (builder.constant(np.array(value, np.int64)) for value in (0, 1))
        return builder.add("Range", zero, builder.add("Squeeze", length, builder.ints(0)), one)

    def _real(self, kind: int) -> Node:
        padding = self._builder.add("Equal", "ids", self._builder.constant(np.array(0, np.int64)))
        return self._builder.add("Cast", self._builder.add("Not", padding), to=kind)

    def _masked(self, hidden: Node) -> Node:
        constant = self._builder.constant
        return self._builder.add("Where", hidden, constant(_MASKED), constant(0.0))
