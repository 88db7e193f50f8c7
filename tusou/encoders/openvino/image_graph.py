"""The image tower as an OpenVINO graph, equivalent to `ImageTower`, normalisation included."""

import numpy as np
import openvino
from openvino import opset13 as ops

from tusou.encoders.architecture import IMAGE_EPS, QUICK_GELU, ImageShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.openvino.graph_ops import (
    CheckpointTensors,
    GraphBuilder,
    Node,
    ints,
    number,
    take,
    to_float32,
    unit_vectors,
)
from tusou.images.preprocess import MEAN, STD


def image_graph(reader: TensorReader, shape: ImageShape, precision: str) -> openvino.Model:
    """Return a graph from images, (n, size, size, 3) uint8, to unit vectors, (n, dim) float32."""
    tensors, builder = CheckpointTensors(reader), GraphBuilder(precision)
    size, width = shape.image_resolution, shape.vision_width
    assert isinstance(shape.vision_layers, int)
    images = ops.parameter([-1, size, size, 3], openvino.Type.u8, name="images")
    # The first layer stays in float32: it is little work, and its error would not average out.
    first = GraphBuilder("fp32") if precision == "int8" else builder
    patches = _patches(tensors, shape, first, images)
    rows = _with_class_token(tensors, shape, images, patches)
    rows = tensors.norm("visual.ln_pre", width, IMAGE_EPS)(rows)
    for layer in range(shape.vision_layers):
        name = f"visual.transformer.resblocks.{layer}"
        rows = _layer(tensors, builder, shape, name, rows, last=layer == shape.vision_layers - 1)
    rows = tensors.norm("visual.ln_post", width, IMAGE_EPS)(ops.squeeze(rows, ints(1)))
    projection = tensors.floats("visual.proj", width, shape.embed_dim)
    tensors.finish()
    return openvino.Model([ops.result(unit_vectors(rows, projection))], [images], "image")


def _patches(
    tensors: CheckpointTensors, shape: ImageShape, builder: GraphBuilder, images: Node
) -> Node:
    """Embed the patches of each image.

    Normalisation is folded into the weights, except that the whole number nearest to each mean is
    subtracted first: the differences are small integers, which bf16 represents exactly.
    """
    width, patch = shape.vision_width, shape.vision_patch_size
    assert patch is not None
    side = shape.image_resolution // patch
    patches = ops.reshape(images, ints(0, side, patch, side, patch, 3), special_zero=True)
    patches = ops.transpose(patches, ints(0, 1, 3, 2, 4, 5))
    patches = ops.reshape(patches, ints(0, side * side, patch * patch * 3), special_zero=True)
    mean, deviation = (np.float32(255) * np.array(values, np.float32) for values in (MEAN, STD))
    centre = np.round(mean)
    kernel = tensors.floats("visual.conv1.weight", width, 3, patch, patch)
    kernel = kernel.transpose(0, 2, 3, 1) / deviation
    bias = (kernel * (centre - mean)).sum((1, 2, 3), dtype=np.float32)
    patches = ops.subtract(to_float32(patches), ops.constant(np.tile(centre, patch * patch)))
    embedding = np.ascontiguousarray(kernel.reshape(width, -1)), bias
    return to_float32(builder.linear(patches, embedding))


def _with_class_token(
    tensors: CheckpointTensors, shape: ImageShape, images: Node, patches: Node
) -> Node:
    """Put the class token before the patches of each image, and add the position embeddings."""
    width = shape.vision_width
    assert shape.vision_patch_size is not None
    side = shape.image_resolution // shape.vision_patch_size
    positions = tensors.floats("visual.positional_embedding", side * side + 1, width)
    class_token = tensors.floats("visual.class_embedding", width) + positions[0]
    count = take(ops.shape_of(images), ints(0))
    target = ops.concat([count, ints(1, width)], 0)
    class_tokens = ops.broadcast(ops.constant(class_token[None, None]), target)
    return ops.concat([class_tokens, ops.add(patches, ops.constant(positions[1:]))], 1)


def _layer(
    tensors: CheckpointTensors,
    builder: GraphBuilder,
    shape: ImageShape,
    name: str,
    rows: Node,
    *,
    last: bool,
) -> Node:
    """Build one layer, the last only for the class token."""
    width = shape.vision_width
    weight = tensors.floats(f"{name}.attn.in_proj_weight", 3 * width, width)
    bias = tensors.floats(f"{name}.attn.in_proj_bias", 3 * width)
    qkv = list(zip(np.split(weight, 3), np.split(bias, 3), strict=True))
    normed = tensors.norm(f"{name}.ln_1", width, IMAGE_EPS)(rows)
    query, key, value = builder.heads(normed, qkv, width // shape.vision_head_width, [0, 0])
    if last:
        rows, query = _first(rows, 1), _first(query, 2)
    mixed = builder.attend(query, key, value, builder.cast(number(0)), [0, 0, width])
    rows = ops.add(
        rows,
        to_float32(builder.linear(mixed, tensors.linear(f"{name}.attn.out_proj", width, width))),
    )
    # x * sigmoid(1.702 x) is swish(1.702 x) / 1.702; both factors are folded into the weights.
    up, up_bias = tensors.linear(f"{name}.mlp.c_fc", 4 * width, width)
    down, down_bias = tensors.linear(f"{name}.mlp.c_proj", width, 4 * width)
    normed = tensors.norm(f"{name}.ln_2", width, IMAGE_EPS)(rows)
    hidden = builder.linear(normed, (up * QUICK_GELU, up_bias * QUICK_GELU), "swish")
    return ops.add(rows, to_float32(builder.linear(hidden, (down / QUICK_GELU, down_bias))))


def _first(rows: Node, axis: int) -> Node:
    return ops.slice(rows, ints(0), ints(1), ints(1), ints(axis))
