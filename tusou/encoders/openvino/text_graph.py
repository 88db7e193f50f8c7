"""The text tower as an OpenVINO graph, equivalent to `TextTower`, over packed texts."""

import openvino
from openvino import opset13 as ops

from tusou.encoders.architecture import TEXT_EPS, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.graph_ops import (
    CheckpointTensors,
    GraphBuilder,
    Node,
    Table,
    ints,
    number,
    take,
    to_float32,
    unit_vectors,
)

_EMBEDDINGS = "bert.embeddings."
_MASKED = -1e4  # the score of a masked token: its exponential is zero


def text_graph(
    reader: TensorReader, shape: TextShape, precision: str
) -> tuple[openvino.Model, Table]:
    """Return a graph from packed texts to unit vectors, and the table of word embeddings.

    Its inputs are the word embedding of each token, (tokens, width) float32, the position in its
    text and the number of its text, (tokens,) int32, and the index of each text's first token,
    (texts,) int32; its output is (texts, dim) float32. Tokens attend within their own text. The
    table is left out of the graph, where all of it would be converted to float32.
    """
    tensors, builder = CheckpointTensors(reader), GraphBuilder(precision)
    words = ops.parameter([-1, shape.text_hidden_size], openvino.Type.f32, name="words")
    positions, texts, starts = (
        ops.parameter([-1], openvino.Type.i32, name=name)
        for name in ("positions", "texts", "starts")
    )
    table = tensors.table(
        f"{_EMBEDDINGS}word_embeddings.weight", shape.vocab_size, shape.text_hidden_size
    )
    rows = _embedded(tensors, shape, words, positions)
    mask = builder.cast(_mask(texts))
    for layer in range(shape.text_num_hidden_layers):
        last = layer == shape.text_num_hidden_layers - 1
        name = f"bert.encoder.layer.{layer}"
        rows = _layer(tensors, builder, shape, name, rows, mask, starts if last else None)
    projection = tensors.floats("text_projection", shape.text_hidden_size, shape.embed_dim)
    tensors.finish()
    vectors = ops.result(unit_vectors(rows, projection))
    return openvino.Model([vectors], [words, positions, texts, starts], "text"), table


def _embedded(tensors: CheckpointTensors, shape: TextShape, words: Node, positions: Node) -> Node:
    width = shape.text_hidden_size
    positions_table = tensors.floats(
        f"{_EMBEDDINGS}position_embeddings.weight", shape.text_max_position_embeddings, width
    )
    types = tensors.floats(
        f"{_EMBEDDINGS}token_type_embeddings.weight", shape.text_type_vocab_size, width
    )
    positions_table = positions_table + types[0]  # every token is of type 0
    norm = tensors.norm(f"{_EMBEDDINGS}LayerNorm", width, TEXT_EPS)
    return norm(ops.add(words, take(ops.constant(positions_table), positions)))


def _mask(texts: Node) -> Node:
    """Return what is added to attention scores: 0 within a text, else a large negative number."""
    same = ops.equal(ops.unsqueeze(texts, ints(1)), ops.unsqueeze(texts, ints(0)))
    return ops.unsqueeze(ops.select(same, number(0), number(_MASKED)), ints(0, 1))


def _layer(
    tensors: CheckpointTensors,
    builder: GraphBuilder,
    shape: TextShape,
    name: str,
    rows: Node,
    mask: Node,
    starts: Node | None,
) -> Node:
    """Build one layer; with `starts`, only for the first token of each text."""
    width, inner = shape.text_hidden_size, shape.text_intermediate_size
    qkv = [
        tensors.linear(f"{name}.attention.self.{part}", width, width)
        for part in ("query", "key", "value")
    ]
    query, key, value = builder.heads(rows, qkv, shape.text_num_attention_heads, [1, -1])
    if starts is not None:
        rows, query, mask = take(rows, starts), take(query, starts, 2), take(mask, starts, 2)
    mixed = builder.attend(query, key, value, mask, [-1, width])
    out = builder.linear(mixed, tensors.linear(f"{name}.attention.output.dense", width, width))
    norm = tensors.norm(f"{name}.attention.output.LayerNorm", width, TEXT_EPS)
    rows = norm(ops.add(rows, to_float32(out)))
    up = tensors.linear(f"{name}.intermediate.dense", inner, width)
    down = tensors.linear(f"{name}.output.dense", width, inner)
    out = builder.linear(builder.linear(rows, up, "gelu"), down)
    norm = tensors.norm(f"{name}.output.LayerNorm", width, TEXT_EPS)
    return norm(ops.add(rows, to_float32(out)))
