"""The image tower as an OpenVINO graph, equivalent to `ImageTower`, normalisation included."""

import numpy as np
import numpy.typing as npt
import openvino
import torch
from openvino import opset13 as ops

from tusou.encoders.architecture import ImageShape
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
from tusou.encoders.tower_weights import (
    read_image_block,
    read_image_embeddings,
)
from tusou.images.preprocess import Channels


def image_graph(
    tensors: TensorReader, shape: ImageShape, precision: str, mean: Channels, std: Channels
) -> openvino.Model:
    """Return a graph from images, (n, size, size, 3) uint8, to unit vectors, (n, dim) float32.

    `mean` and `std` of the channels are on the scale from 0 to 1.
    """
    size, width = shape.image_resolution, shape.vision_width
    heads = width // shape.vision_head_width
    assert isinstance(shape.vision_layers, int)
    images = ops.parameter([-1, size, size, 3], openvino.Type.u8, name="images")
    builder = GraphBuilder(precision)
    # The first layer stays in float32: it is little work, and its error would not average out.
    first = GraphBuilder("fp32") if precision == "int8" else builder
    conv, class_token, positions, first_norm = read_image_embeddings(tensors, shape)
    patches = _patches(conv.numpy(), size, first, images, (mean, std))
    patches = ops.add(patches, ops.constant(positions.numpy()))
    count = take(ops.shape_of(images), ints(0))
    target = ops.concat([count, ints(1, width)], 0)
    class_tokens = ops.broadcast(ops.constant(class_token.numpy()[None, None]), target)
    rows = ops.concat([class_tokens, patches], 1)
    rows = norm(rows, first_norm, shape.eps) if first_norm else rows
    for layer in range(shape.vision_layers):
        block = read_image_block(tensors, shape, layer)
        normed = norm(rows, block.attention_norm, shape.eps)
        query, key, value = builder.heads(normed, block.qkv, heads, [0, 0])
        if layer == shape.vision_layers - 1:  # only for the class token
            rows, query = _first(rows, 1), _first(query, 2)
        mixed = builder.attend(query, key, value, builder.cast(number(0)), [0, 0, width])
        rows = ops.add(rows, to_float32(builder.linear(mixed, block.out)))
        hidden = builder.linear(norm(rows, block.mlp_norm, shape.eps), block.up, block.activation)
        rows = ops.add(rows, to_float32(builder.linear(hidden, block.down)))
    rows = norm(ops.squeeze(rows, ints(1)), tensors.norm("visual.ln_post", width), shape.eps)
    projection = tensors.floats("visual.proj", width, shape.embed_dim)
    tensors.finish()
    return openvino.Model([ops.result(unit_vectors(rows, projection))], [images], "image")


def _patches(
    kernel: npt.NDArray[np.float32],
    size: int,
    builder: GraphBuilder,
    images: Node,
    channels: tuple[Channels, Channels],
) -> Node:
    """Embed the patches of each image with the weights (width, 3, patch, patch).

    Normalisation, by the mean and the deviation of each channel, is folded into the weights, except
    that the whole number nearest to each mean is subtracted first: the differences are small
    integers, which bf16 represents exactly.
    """
    width, _, _, patch = kernel.shape
    side = size // patch
    patches = ops.reshape(images, ints(0, side, patch, side, patch, 3), special_zero=True)
    patches = ops.transpose(patches, ints(0, 1, 3, 2, 4, 5))
    patches = ops.reshape(patches, ints(0, side * side, patch * patch * 3), special_zero=True)
    mean, deviation = (np.float32(255) * np.array(values, np.float32) for values in channels)
    centre = np.round(mean)
    kernel = kernel.transpose(0, 2, 3, 1) / deviation
    bias = (kernel * (centre - mean)).sum((1, 2, 3), dtype=np.float32)
    weight = np.ascontiguousarray(kernel.reshape(width, -1))
    patches = ops.subtract(to_float32(patches), ops.constant(np.tile(centre, patch * patch)))
    embedding = torch.from_numpy(weight), torch.from_numpy(bias)
    return to_float32(builder.linear(patches, embedding))


def _first(rows: Node, axis: int) -> Node:
    return ops.slice(rows, ints(0), ints(1), ints(1), ints(axis))
