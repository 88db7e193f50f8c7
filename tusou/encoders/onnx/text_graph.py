"""The text tower as an ONNX graph, equivalent to `TextTower`, over padded texts."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from tusou.encoders.architecture import TEXT_EPS, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.onnx.graph_builder import Node, OnnxGraph
from tusou.encoders.tower_weights import read_text_block, read_text_embeddings

_MASKED = -1e4  # the score of padding: its exponential is zero, in float16 too


def text_graph(tensors: TensorReader, shape: TextShape) -> onnx.ModelProto:
    """Return a model from `ids`, (batch, length) int64 padded with 0, to unit `vectors`."""
    builder, width = OnnxGraph(), shape.text_hidden_size
    heads = shape.text_num_attention_heads
    rows = _embed(builder, tensors, shape)
    mask = _mask(builder)
    for layer in range(shape.text_num_hidden_layers):
        block = read_text_block(tensors, shape, layer)
        query, key, value = builder.heads(rows, block.qkv, heads)
        if layer == shape.text_num_hidden_layers - 1:  # only for the first token of each text
            rows, query = builder.first(rows, 1), builder.first(query, 2)
        mixed = builder.attend([query, key, value], width, mask)
        rows = builder.add("Add", rows, builder.linear(mixed, block.out))
        rows = builder.norm(rows, block.attention_norm, TEXT_EPS)
        out = builder.linear(builder.linear(rows, block.up, "gelu"), block.down)
        rows = builder.norm(builder.add("Add", rows, out), block.mlp_norm, TEXT_EPS)
    projection = tensors.floats("text_projection", width, shape.embed_dim)
    tensors.finish()
    rows = builder.add("Squeeze", rows, builder.ints(1))
    vectors = builder.unit_vectors(builder.add("MatMul", rows, builder.constant(projection)))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    return builder.model([ids], vectors, shape.embed_dim)


def _embed(builder: OnnxGraph, tensors: TensorReader, shape: TextShape) -> Node:
    words, table, norm = read_text_embeddings(tensors, shape)
    length = builder.add("Shape", "ids", start=1, end=2)
    first = builder.ints(0)
    positions = builder.add("Slice", builder.constant(table), first, length, first)
    rows = builder.add("Gather", builder.constant(words), "ids", axis=0)
    return builder.norm(builder.add("Add", rows, positions), norm, TEXT_EPS)


def _mask(builder: OnnxGraph) -> Node:
    """Return (batch, 1, 1, length), which is added to the scores of each key."""
    padding = builder.add("Equal", "ids", builder.constant(np.array(0, np.int64)))
    added = builder.add("Where", padding, builder.constant(_MASKED), builder.constant(0.0))
    return builder.add("Unsqueeze", added, builder.ints(1, 2))
