"""The ResNet image tower of RN50 as an ONNX graph, normalisation included."""

import onnx
import torch

from tusou.encoders.architecture import ImageShape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.onnx.graph_builder import Node, OnnxGraph, image_input, normalised_images

_EPS = 1e-5  # added to the variance in batch norms
_GROWTH = 4  # a block's channels, as a multiple of those of its middle convolution


def resnet_graph(
    tensors: TensorReader,
    shape: ImageShape,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> onnx.ModelProto:
    """Return a model from `images`, (batch, side, side, 3) uint8 RGB, to unit `vectors`.

    `mean` and `std` of the channels are on the scale from 0 to 1.
    """
    graph, width = _ResNetGraph(tensors), shape.vision_width
    assert isinstance(shape.vision_layers, tuple)
    images = graph.stem(normalised_images(graph.builder, mean, std), width)
    channels = width
    for stage, blocks in enumerate(shape.vision_layers):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            name, inner = f"visual.layer{stage + 1}.{block}", width * 2**stage
            images = graph.block(images, name, channels, inner, stride)
            channels = inner * _GROWTH
    vectors = graph.pool(images, channels, shape)
    tensors.finish()
    return graph.builder.model([image_input(shape.image_resolution)], vectors, shape.embed_dim)


class _ResNetGraph:
    """The layers of cn_clip's ModifiedResNet; batch norms are multiplied into convolutions."""

    def __init__(self, tensors: TensorReader) -> None:
        self.builder, self._tensors = OnnxGraph(), tensors

    def stem(self, images: Node, width: int) -> Node:
        """Return the images at a quarter of their side."""
        sizes = [3, width // 2, width // 2, width]
        for number in (1, 2, 3):
            names = f"visual.conv{number}", f"visual.bn{number}"
            stride = 2 if number == 1 else 1
            images = self._conv(images, *names, sizes[number - 1], sizes[number], 3, stride)
            images = self.builder.add("Relu", images)
        return self._average(images, 2)

    def block(self, images: Node, name: str, channels: int, inner: int, stride: int) -> Node:
        """Return a bottleneck block; a stride is an average, not a step of the convolution."""
        relu, out = "Relu", inner * _GROWTH
        hidden = self._conv(images, f"{name}.conv1", f"{name}.bn1", channels, inner, 1)
        hidden = self.builder.add(relu, hidden)
        hidden = self._conv(hidden, f"{name}.conv2", f"{name}.bn2", inner, inner, 3)
        hidden = self._average(self.builder.add(relu, hidden), stride)
        hidden = self._conv(hidden, f"{name}.conv3", f"{name}.bn3", inner, out, 1)
        if stride > 1 or channels != out:
            down = f"{name}.downsample"
            images = self._average(images, stride)
            images = self._conv(images, f"{down}.0", f"{down}.1", channels, out, 1)
        return self.builder.add(relu, self.builder.add("Add", hidden, images))

    def pool(self, images: Node, width: int, shape: ImageShape) -> Node:
        """Return unit vectors: attention of the mean of all positions to itself and to each."""
        builder, name = self.builder, "visual.attnpool"
        places = (shape.image_resolution // 32) ** 2
        rows = builder.add("Reshape", images, builder.ints(0, width, places))
        rows = builder.add("Transpose", rows, perm=[0, 2, 1])
        mean = builder.add("ReduceMean", rows, axes=[1], keepdims=1)
        positions = self._tensors.floats(f"{name}.positional_embedding", places + 1, width)
        rows = builder.add("Concat", mean, rows, axis=1)
        rows = builder.add("Add", rows, builder.constant(positions))
        parts = (self._tensors.linear(f"{name}.{part}_proj", width, width) for part in "qkv")
        weights, biases = zip(*parts, strict=True)
        heads = width // shape.vision_head_width
        query, key, value = builder.heads(rows, (torch.cat(weights), torch.cat(biases)), heads)
        mixed = builder.attend([builder.first(query, 2), key, value], width)
        mixed = builder.add("Squeeze", mixed, builder.ints(1))
        projection = self._tensors.linear(f"{name}.c_proj", shape.embed_dim, width)
        return builder.unit_vectors(builder.linear(mixed, projection))

    def _conv(
        self,
        images: Node,
        conv: str,
        norm: str,
        channels: int,
        out: int,
        size: int,
        stride: int = 1,
    ) -> Node:
        """Return a convolution without bias, and its batch norm."""
        read = self._tensors.floats
        weight, bias = (read(f"{norm}.{part}", out) for part in ("weight", "bias"))
        mean, variance = (read(f"{norm}.running_{part}", out) for part in ("mean", "var"))
        self._tensors.take(f"{norm}.num_batches_tracked")
        scale = weight / torch.sqrt(variance + _EPS)
        kernel = read(f"{conv}.weight", out, channels, size, size) * scale.view(-1, 1, 1, 1)
        constants = self.builder.constant(kernel), self.builder.constant(bias - mean * scale)
        pads = [size // 2] * 4
        return self.builder.add("Conv", images, *constants, pads=pads, strides=[stride, stride])

    def _average(self, images: Node, side: int) -> Node:
        sides = [side, side]
        if side == 1:
            return images
        return self.builder.add("AveragePool", images, kernel_shape=sides, strides=sides)
