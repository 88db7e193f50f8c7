"""The vision transformer as an ONNX graph, equivalent to `ImageTower`, normalisation included."""

import onnx

from tusou.encoders.architecture import ImageShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.onnx.graph_builder import Node, OnnxGraph, image_input, normalised_images
from tusou.encoders.tower_weights import read_image_block, read_image_embeddings


def image_graph(
    tensors: TensorReader,
    shape: ImageShape,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> onnx.ModelProto:
    """Return a model from `images`, (batch, side, side, 3) uint8 RGB, to unit `vectors`.

    `mean` and `std` of the channels are on the scale from 0 to 1.
    """
    builder, width = OnnxGraph(), shape.vision_width
    assert isinstance(shape.vision_layers, int)
    rows = _embed(builder, tensors, shape, normalised_images(builder, mean, std))
    for layer in range(shape.vision_layers):
        block = read_image_block(tensors, shape, layer)
        normed = builder.norm(rows, block.attention_norm, shape.eps)
        query, key, value = builder.heads(normed, block.qkv, width // shape.vision_head_width)
        if layer == shape.vision_layers - 1:  # only for the class token
            rows, query = builder.first(rows, 1), builder.first(query, 2)
        mixed = builder.attend([query, key, value], width)
        rows = builder.add("Add", rows, builder.linear(mixed, block.out))
        hidden = builder.norm(rows, block.mlp_norm, shape.eps)
        hidden = builder.linear(builder.linear(hidden, block.up, block.activation), block.down)
        rows = builder.add("Add", rows, hidden)
    rows = builder.add("Squeeze", rows, builder.ints(1))
    rows = builder.norm(rows, tensors.norm("visual.ln_post", width), shape.eps)
    projection = tensors.floats("visual.proj", width, shape.embed_dim)
    tensors.finish()
    vectors = builder.unit_vectors(builder.add("MatMul", rows, builder.constant(projection)))
    return builder.model([image_input(shape.image_resolution)], vectors, shape.embed_dim)


def _embed(builder: OnnxGraph, tensors: TensorReader, shape: ImageShape, images: Node) -> Node:
    conv, class_token, positions, norm = read_image_embeddings(tensors, shape)
    width, patch = shape.vision_width, shape.vision_patch_size
    patches = builder.add("Conv", images, builder.constant(conv), strides=[patch, patch])
    patches = builder.add("Reshape", patches, builder.ints(0, width, -1))
    patches = builder.add("Transpose", patches, perm=[0, 2, 1])
    patches = builder.add("Add", patches, builder.constant(positions))
    count = builder.add("Shape", "images", start=0, end=1)
    target = builder.add("Concat", count, builder.ints(1, width), axis=0)
    class_tokens = builder.add("Expand", builder.constant(class_token), target)
    rows = builder.add("Concat", class_tokens, patches, axis=1)
    return builder.norm(rows, norm, shape.eps) if norm else rows
