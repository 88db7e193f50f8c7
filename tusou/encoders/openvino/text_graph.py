"""The text tower as an OpenVINO graph, equivalent to `TextTower`, over packed texts."""

import numpy as np
import numpy.typing as npt
import openvino
import torch
from openvino import opset13 as ops

from tusou.encoders.architecture import TEXT_EPS, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.graph_ops import (
    GraphBuilder,
    Node,
    ints,
    norm,
    number,
    take,
    to_float32,
    unit_vectors,
)
from tusou.encoders.tower_weights import read_text_block, read_text_embeddings

_MASKED = -1e4  # the score of a masked token: its exponential is zero


def text_graph(
    tensors: TensorReader, shape: TextShape, precision: str
) -> tuple[openvino.Model, npt.NDArray[np.float16 | np.float32]]:
    """Return a graph from packed texts to unit vectors, and the table of word embeddings.

    Its inputs are the word embedding of each token, (tokens, width) float32, the position in its
    text and the number of its text, (tokens,) int32, and the index of each text's first token,
    (texts,) int32; its output is (texts, dim) float32. Tokens attend within their own text. The
    table is left out of the graph, where all of it would be converted to float32.
    """
    builder, width = GraphBuilder(precision), shape.text_hidden_size
    words = ops.parameter([-1, width], openvino.Type.f32, name="words")
    positions, texts, starts = (
        ops.parameter([-1], openvino.Type.i32, name=name)
        for name in ("positions", "texts", "starts")
    )
    table, position_table, first_norm = read_text_embeddings(tensors, shape)
    rows = ops.add(words, take(ops.constant(position_table.numpy()), positions))
    rows = norm(rows, first_norm, TEXT_EPS)
    mask = builder.cast(_mask(texts))
    for layer in range(shape.text_num_hidden_layers):
        block = read_text_block(tensors, shape, layer)
        heads = shape.text_num_attention_heads
        query, key, value = builder.heads(rows, block.qkv, heads, [1, -1])
        if layer == shape.text_num_hidden_layers - 1:  # only for the first token of each text
            rows, query, mask = take(rows, starts), take(query, starts, 2), take(mask, starts, 2)
        mixed = builder.attend(query, key, value, mask, [-1, width])
        out = builder.linear(mixed, block.out)
        rows = norm(ops.add(rows, to_float32(out)), block.attention_norm, TEXT_EPS)
        out = builder.linear(builder.linear(rows, block.up, "gelu"), block.down)
        rows = norm(ops.add(rows, to_float32(out)), block.mlp_norm, TEXT_EPS)
    projection = tensors.floats("text_projection", width, shape.embed_dim)
    tensors.finish()
    vectors = ops.result(unit_vectors(rows, projection))
    model = openvino.Model([vectors], [words, positions, texts, starts], "text")
    return model, (table if table.dtype == torch.float16 else table.float()).numpy()


def _mask(texts: Node) -> Node:
    """Return what is added to attention scores: 0 within a text, else a large negative number."""
    same = ops.equal(ops.unsqueeze(texts, ints(1)), ops.unsqueeze(texts, ints(0)))
    return ops.unsqueeze(ops.select(same, number(0), number(_MASKED)), ints(0, 1))
