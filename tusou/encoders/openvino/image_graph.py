"""The image tower as a graph: what `ImageTower` computes, normalising included."""

import numpy as np
import openvino
from openvino import opset13 as ops

from tusou.encoders.architecture import IMAGE_EPS, QUICK, ImageShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.graph_ops import (
    Maker,
    Node,
    Parts,
    ints,
    number,
    take,
    unit_vectors,
    wide,
)
from tusou.encoders.pixels import MEAN, STD


def image_graph(tensors: TensorReader, shape: ImageShape, precision: str) -> openvino.Model:
    """Make a graph from images, (n, size, size, 3) uint8, to unit vectors, (n, dim) float32."""
    parts, make = Parts(tensors), Maker(precision)
    size, width = shape.image_resolution, shape.vision_width
    assert isinstance(shape.vision_layers, int)
    images = ops.parameter([-1, size, size, 3], openvino.Type.u8, name="images")
    # Int8 is for what lies between: little work is done at the ends, and nothing evens it out.
    ends = Maker("fp32") if precision == "int8" else make
    rows = _with_class(parts, shape, images, _patches(parts, shape, ends, images))
    rows = parts.norm("visual.ln_pre", width, IMAGE_EPS)(rows)
    for layer in range(shape.vision_layers):
        name = f"visual.transformer.resblocks.{layer}"
        rows = _layer(parts, make, shape, name, rows, last=layer == shape.vision_layers - 1)
    rows = parts.norm("visual.ln_post", width, IMAGE_EPS)(ops.squeeze(rows, ints(1)))
    projection = parts.floats("visual.proj", width, shape.embed_dim)
    parts.finish()
    return openvino.Model([ops.result(unit_vectors(rows, projection))], [images], "image")


def _patches(parts: Parts, shape: ImageShape, make: Maker, images: Node) -> Node:
    """Embed the squares of each image.

    What turns bytes into normalised numbers is in the weights, but for whole numbers near the mean:
    bytes less those are small integers, which bf16 holds exactly.
    """
    width, patch = shape.vision_width, shape.vision_patch_size
    assert patch is not None
    side = shape.image_resolution // patch
    squares = ops.reshape(images, ints(0, side, patch, side, patch, 3), special_zero=True)
    squares = ops.transpose(squares, ints(0, 1, 3, 2, 4, 5))
    squares = ops.reshape(squares, ints(0, side * side, patch * patch * 3), special_zero=True)
    mean, deviation = (np.float32(255) * np.array(values, np.float32) for values in (MEAN, STD))
    centre = np.round(mean)
    kernel = parts.floats("visual.conv1.weight", width, 3, patch, patch)
    kernel = kernel.transpose(0, 2, 3, 1) / deviation
    bias = (kernel * (centre - mean)).sum((1, 2, 3), dtype=np.float32)
    squares = ops.subtract(wide(squares), ops.constant(np.tile(centre, patch * patch)))
    embedding = np.ascontiguousarray(kernel.reshape(width, -1)), bias
    return wide(make.product(squares, embedding))


def _with_class(parts: Parts, shape: ImageShape, images: Node, patches: Node) -> Node:
    """Put the class token before the patches of each image, and add what says where they are."""
    width = shape.vision_width
    assert shape.vision_patch_size is not None
    side = shape.image_resolution // shape.vision_patch_size
    places = parts.floats("visual.positional_embedding", side * side + 1, width)
    first = parts.floats("visual.class_embedding", width) + places[0]
    count = take(ops.shape_of(images), ints(0))
    firsts = ops.broadcast(ops.constant(first[None, None]), ops.concat([count, ints(1, width)], 0))
    return ops.concat([firsts, ops.add(patches, ops.constant(places[1:]))], 1)


def _layer(
    parts: Parts, make: Maker, shape: ImageShape, name: str, rows: Node, *, last: bool
) -> Node:
    """Compute one layer, the last for the class token alone."""
    width = shape.vision_width
    weight = parts.floats(f"{name}.attn.in_proj_weight", 3 * width, width)
    bias = parts.floats(f"{name}.attn.in_proj_bias", 3 * width)
    qkv = list(zip(np.split(weight, 3), np.split(bias, 3), strict=True))
    normed = parts.norm(f"{name}.ln_1", width, IMAGE_EPS)(rows)
    query, key, value = make.heads(normed, qkv, width // shape.vision_head_width, [0, 0])
    if last:
        rows, query = _first(rows, 1), _first(query, 2)
    mixed = make.attend(query, key, value, make.between(number(0)), [0, 0, width])
    rows = ops.add(
        rows, wide(make.product(mixed, parts.linear(f"{name}.attn.out_proj", width, width)))
    )
    # x * sigmoid(1.702 x) is swish(1.702 x) / 1.702, and both factors go into the weights.
    up, up_bias = parts.linear(f"{name}.mlp.c_fc", 4 * width, width)
    down, down_bias = parts.linear(f"{name}.mlp.c_proj", width, 4 * width)
    normed = parts.norm(f"{name}.ln_2", width, IMAGE_EPS)(rows)
    opened = make.product(normed, (up * QUICK, up_bias * QUICK), "swish")
    return ops.add(rows, wide(make.product(opened, (down / QUICK, down_bias))))


def _first(rows: Node, axis: int) -> Node:
    return ops.slice(rows, ints(0), ints(1), ints(1), ints(axis))
