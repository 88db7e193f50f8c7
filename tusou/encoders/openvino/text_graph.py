"""The text tower as an OpenVINO graph, equivalent to `TextTower`, over packed texts."""

import numpy as np
import numpy.typing as npt
import openvino
import torch
from openvino import opset13 as ops

from tusou.encoders.architecture import TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.graph_ops import (
    GraphBuilder,
    Node,
    ints,
    norm,
    number,
    project,
    take,
    to_float32,
    unit_vectors,
)
from tusou.encoders.tower_weights import (
    TextHead,
    read_text_block,
    read_text_embeddings,
    read_text_head,
)

_MASKED = -1e4  # the score of a masked token: its exponential is zero


def text_graph(
    tensors: TensorReader, shape: TextShape, precision: str
) -> tuple[openvino.Model, npt.NDArray[np.float16 | np.float32]]:
    """Return a graph from packed texts to unit vectors, and the table of word embeddings.

    Its inputs are the word embedding of each token, (tokens, width) float32, the position in its
    text and the number of its text, (tokens,) int32, and the index of the token that each text's
    vector is made of, (texts,) int32, of which a mean takes only the number; its output is
    (texts, dim) float32. Tokens attend within their own text. The table is left out of the graph,
    where all of it would be converted to float32.
    """
    builder, width, is_clip = (
        GraphBuilder(precision),
        shape.text_hidden_size,
        shape.layout == "clip",
    )
    words = ops.parameter([-1, width], openvino.Type.f32, name="words")
    positions, texts, starts = (
        ops.parameter([-1], openvino.Type.i32, name=name)
        for name in ("positions", "texts", "starts")
    )
    table, position_table, first_norm = read_text_embeddings(tensors, shape)
    rows = ops.add(words, take(ops.constant(position_table.numpy()), positions))
    rows = norm(rows, first_norm, shape.eps) if first_norm else rows
    mask = builder.cast(_mask(texts, positions if is_clip else None))
    for layer in range(shape.text_num_hidden_layers):
        block = read_text_block(tensors, shape, layer)
        heads = shape.text_num_attention_heads
        normed = norm(rows, block.attention_norm, shape.eps) if is_clip else rows
        query, key, value = builder.heads(normed, block.qkv, heads, [1, -1])
        if layer == shape.text_num_hidden_layers - 1 and shape.pooling != "mean":
            # Only for the token that each text's vector is made of.
            rows, query, mask = take(rows, starts), take(query, starts, 2), take(mask, starts, 2)
        mixed = builder.attend(query, key, value, mask, [-1, width])
        out = builder.linear(mixed, block.out)
        rows = ops.add(rows, to_float32(out))
        if is_clip:
            normed = norm(rows, block.mlp_norm, shape.eps)
        else:
            normed = rows = norm(rows, block.attention_norm, shape.eps)
        out = builder.linear(builder.linear(normed, block.up, block.activation), block.down)
        rows = ops.add(rows, to_float32(out))
        rows = rows if is_clip else norm(rows, block.mlp_norm, shape.eps)
    if shape.pooling == "mean":
        rows = _means(rows, texts, starts)
    vectors = ops.result(_vectors(rows, read_text_head(tensors, shape), shape.eps))
    tensors.finish()
    model = openvino.Model([vectors], [words, positions, texts, starts], "text")
    return model, (table if table.dtype == torch.float16 else table.float()).numpy()


def _vectors(rows: Node, head: TextHead, eps: float) -> Node:
    """Make unit vectors of the pooled tokens."""
    if head.norm:
        rows = norm(rows, head.norm, eps)
    if head.hidden is not None:
        rows = ops.gelu(project(rows, head.hidden), "erf")
    return unit_vectors(rows, head.projection, head.bias)


def _means(rows: Node, texts: Node, starts: Node) -> Node:
    """Return the mean of each text's rows; zeros for the numbers of no text."""
    count = ops.squeeze(ops.shape_of(starts, "i32"), ints(0))
    zero, one = (ops.constant(np.int32(value)) for value in (0, 1))
    numbers = ops.range(zero, count, one, "i32")
    own = ops.equal(ops.unsqueeze(numbers, ints(1)), ops.unsqueeze(texts, ints(0)))
    own = ops.convert(own, "f32")
    lengths = ops.maximum(ops.reduce_sum(own, ints(1), keep_dims=True), number(1))
    return ops.divide(ops.matmul(own, rows, False, False), lengths)  # noqa: FBT003


def _mask(texts: Node, positions: Node | None) -> Node:
    """Return what is added to attention scores: 0 within a text, else a large negative number.

    With positions, it is 0 up to the token's own position alone.
    """
    same = ops.equal(ops.unsqueeze(texts, ints(1)), ops.unsqueeze(texts, ints(0)))
    if positions is not None:
        key, query = ops.unsqueeze(positions, ints(0)), ops.unsqueeze(positions, ints(1))
        same = ops.logical_and(same, ops.less_equal(key, query))
    return ops.unsqueeze(ops.select(same, number(0), number(_MASKED)), ints(0, 1))
