"""The text tower as a graph: what `TextTower` computes, texts of any lengths side by side."""

import openvino
from openvino import opset13 as ops

from tusou.encoders.architecture import TEXT_EPS, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.graph_ops import (
    Maker,
    Node,
    Parts,
    Table,
    ints,
    number,
    take,
    unit_vectors,
    wide,
)

_TABLES = "bert.embeddings."
_HIDDEN = -1e4  # the score of a token that is not looked at: its exponential is zero


def text_graph(
    tensors: TensorReader, shape: TextShape, precision: str
) -> tuple[openvino.Model, Table]:
    """Make a graph from a row of tokens to unit vectors, and the table of the words it takes.

    It takes the word of each token, (tokens, width) float32, its position and the number of its
    text, (tokens,) int32, and where texts start, (texts,) int32; it gives (texts, dim) float32. A
    token sees those of its own text. The table is not in the graph, where it would be widened as a
    whole.
    """
    parts, make = Parts(tensors), Maker(precision)
    words = ops.parameter([-1, shape.text_hidden_size], openvino.Type.f32, name="words")
    positions, texts, starts = (
        ops.parameter([-1], openvino.Type.i32, name=name)
        for name in ("positions", "texts", "starts")
    )
    table = parts.table(
        f"{_TABLES}word_embeddings.weight", shape.vocab_size, shape.text_hidden_size
    )
    rows = _embedded(parts, shape, words, positions)
    mask = make.between(_apart(texts))
    for layer in range(shape.text_num_hidden_layers):
        last = layer == shape.text_num_hidden_layers - 1
        name = f"bert.encoder.layer.{layer}"
        rows = _layer(parts, make, shape, name, rows, mask, starts if last else None)
    projection = parts.floats("text_projection", shape.text_hidden_size, shape.embed_dim)
    parts.finish()
    vectors = ops.result(unit_vectors(rows, projection))
    return openvino.Model([vectors], [words, positions, texts, starts], "text"), table


def _embedded(parts: Parts, shape: TextShape, words: Node, positions: Node) -> Node:
    width = shape.text_hidden_size
    places = parts.floats(
        f"{_TABLES}position_embeddings.weight", shape.text_max_position_embeddings, width
    )
    types = parts.floats(
        f"{_TABLES}token_type_embeddings.weight", shape.text_type_vocab_size, width
    )
    places = places + types[0]  # every token is of type 0
    norm = parts.norm(f"{_TABLES}LayerNorm", width, TEXT_EPS)
    return norm(ops.add(words, take(ops.constant(places), positions)))


def _apart(texts: Node) -> Node:
    """Give what is added to the score of each token for each: nothing within a text."""
    same = ops.equal(ops.unsqueeze(texts, ints(1)), ops.unsqueeze(texts, ints(0)))
    return ops.unsqueeze(ops.select(same, number(0), number(_HIDDEN)), ints(0, 1))


def _layer(
    parts: Parts,
    make: Maker,
    shape: TextShape,
    name: str,
    rows: Node,
    mask: Node,
    wanted: Node | None,
) -> Node:
    """Compute one layer, for wanted rows alone if some are named."""
    width, inner = shape.text_hidden_size, shape.text_intermediate_size
    own = f"{name}.attention.self."
    qkv = [parts.linear(f"{own}{part}", width, width) for part in ("query", "key", "value")]
    query, key, value = make.heads(rows, qkv, shape.text_num_attention_heads, [1, -1])
    if wanted is not None:
        rows, query, mask = take(rows, wanted), take(query, wanted, 2), take(mask, wanted, 2)
    mixed = make.attend(query, key, value, mask, [-1, width])
    out = make.product(mixed, parts.linear(f"{name}.attention.output.dense", width, width))
    norm = parts.norm(f"{name}.attention.output.LayerNorm", width, TEXT_EPS)
    rows = norm(ops.add(rows, wide(out)))
    up = parts.linear(f"{name}.intermediate.dense", inner, width)
    down = parts.linear(f"{name}.output.dense", width, inner)
    out = make.product(make.product(rows, up, "gelu"), down)
    norm = parts.norm(f"{name}.output.LayerNorm", width, TEXT_EPS)
    return norm(ops.add(rows, wide(out)))
