"""The text tower as a graph: what `TextTower` computes, texts of any lengths side by side."""

import openvino
from openvino import opset13 as ops

from tusou.encoders.architecture import TEXT_EPS, TextShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.nodes import (
    Maker,
    Node,
    Parts,
    ints,
    number,
    take,
    unit_vectors,
    wide,
)

_HIDDEN = -1e4  # the score of a token that is not looked at: its exponential is zero


def text_graph(tensors: TensorReader, shape: TextShape, precision: str) -> openvino.Model:
    """Make a graph from a row of tokens to unit vectors.

    It takes ids, positions and the number of the text of each token, (tokens,) int32, and where
    texts start, (texts,) int32; it gives (texts, dim) float32. A token sees those of its own text.
    """
    parts, make = Parts(tensors), Maker(precision)
    ids, positions, texts, starts = (
        ops.parameter([-1], openvino.Type.i32, name=name)
        for name in ("ids", "positions", "texts", "starts")
    )
    rows = _embedded(parts, shape, ids, positions)
    mask = make.between(_apart(texts))
    for layer in range(shape.text_num_hidden_layers):
        last = layer == shape.text_num_hidden_layers - 1
        name = f"bert.encoder.layer.{layer}"
        rows = _layer(parts, make, shape, name, rows, mask, starts if last else None)
    projection = parts.floats("text_projection", shape.text_hidden_size, shape.embed_dim)
    parts.finish()
    vectors = ops.result(unit_vectors(rows, projection))
    return openvino.Model([vectors], [ids, positions, texts, starts], "text")


def _embedded(parts: Parts, shape: TextShape, ids: Node, positions: Node) -> Node:
    table, width = "bert.embeddings.", shape.text_hidden_size
    words = parts.table(f"{table}word_embeddings.weight", shape.vocab_size, width)
    places = parts.floats(
        f"{table}position_embeddings.weight", shape.text_max_position_embeddings, width
    )
    types = parts.floats(f"{table}token_type_embeddings.weight", shape.text_type_vocab_size, width)
    places = places + types[0]  # every token is of type 0
    norm = parts.norm(f"{table}LayerNorm", width, TEXT_EPS)
    return norm(ops.add(wide(take(words, ids)), take(ops.constant(places), positions)))


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
