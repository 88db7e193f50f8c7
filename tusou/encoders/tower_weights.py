"""Weights of the towers' layers in float32, read from a checkpoint for every backend."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from tusou.encoders.architecture import QUICK_GELU, ImageShape, TextShape, TowerActivation
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.torch.layers import Activation

Affine: TypeAlias = tuple[Tensor, Tensor]  # weight and bias of a linear layer or a layer norm


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """One transformer layer; query, key and value are one linear layer."""

    qkv: Affine
    out: Affine
    attention_norm: Affine
    up: Affine
    down: Affine
    mlp_norm: Affine
    activation: Activation  # after `up`


@dataclass(frozen=True, slots=True)
class TextHead:
    """The layers that follow the pooled token: a norm, a hidden one with gelu, a projection."""

    norm: Affine | None
    hidden: Tensor | None  # (width, hidden)
    projection: Tensor  # (width or hidden, dim)
    bias: Tensor | None  # (dim,)


def read_text_embeddings(
    tensors: TensorReader, shape: TextShape
) -> tuple[Tensor, Tensor, Affine | None]:
    """Read the embeddings of tokens and of positions, (rows, width), and the norm of their sum.

    Token embeddings stay as stored, mostly in float16: rows are converted when they are used. Row 0
    is padding's, and is put in front where the vocabulary has another token there. Positions count
    from a text's first token. Every token is of type 0, whose embedding is added to them.
    """
    width = shape.text_hidden_size
    if shape.layout == "clip":
        words = tensors.take("token_embedding.weight", shape.vocab_size - shape.first_id, width)
        rows = shape.text_max_position_embeddings
        positions = tensors.floats("positional_embedding", rows, width)
        norm = None
    else:
        words, positions, norm = _read_bert_embeddings(tensors, shape)
    padding = words.new_zeros(shape.first_id, width)
    words = torch.cat([padding, words]) if len(padding) else words
    return words, positions[shape.position_offset :], norm


def read_text_head(tensors: TensorReader, shape: TextShape) -> TextHead:
    """Read what follows the last layer of a text tower."""
    width, dim, hidden = shape.text_hidden_size, shape.embed_dim, shape.projection_hidden
    name = "text_projection"
    return TextHead(
        norm=tensors.norm("ln_final", width) if shape.final_norm else None,
        hidden=tensors.floats(f"{name}_hidden", width, hidden) if hidden else None,
        projection=tensors.floats(name, hidden or width, dim),
        bias=tensors.floats(f"{name}_bias", dim) if shape.projection_bias else None,
    )


def _read_bert_embeddings(tensors: TensorReader, shape: TextShape) -> tuple[Tensor, Tensor, Affine]:
    name, width = "bert.embeddings", shape.text_hidden_size
    rows = shape.vocab_size - shape.first_id
    words = tensors.take(f"{name}.word_embeddings.weight", rows, width)
    rows = shape.text_max_position_embeddings
    positions = tensors.floats(f"{name}.position_embeddings.weight", rows, width)
    if rows := shape.text_type_vocab_size:
        types = tensors.floats(f"{name}.token_type_embeddings.weight", rows, width)
        positions = positions + types[0]
    return words, positions, tensors.norm(f"{name}.LayerNorm", width)


def read_image_embeddings(
    tensors: TensorReader, shape: ImageShape
) -> tuple[Tensor, Tensor, Tensor, Affine | None]:
    """Read the first layer of a vision transformer.

    Returns the convolution (width, 3, patch, patch), the class token (width,) with its position,
    what is added to the embeddings of the patches (patches, width), which is their positions and
    the bias of the convolution, and the norm that follows.
    """
    width, patch = shape.vision_width, shape.vision_patch_size
    assert patch is not None
    rows = (shape.image_resolution // patch) ** 2 + 1
    positions = tensors.floats("visual.positional_embedding", rows, width)
    class_token = tensors.floats("visual.class_embedding", width) + positions[0]
    conv = tensors.floats("visual.conv1.weight", width, 3, patch, patch)
    added = positions[1:]
    if shape.patch_bias:
        added = added + tensors.floats("visual.conv1.bias", width)
    return (
        conv,
        class_token,
        added,
        tensors.norm("visual.ln_pre", width) if shape.first_norm else None,
    )


def read_text_block(tensors: TensorReader, shape: TextShape, layer: int) -> BlockWeights:
    """Read one layer of the text tower; of a quick gelu as for images."""
    width, inner = shape.text_hidden_size, shape.text_intermediate_size
    if shape.layout == "clip":
        name = f"transformer.resblocks.{layer}"
        return _read_clip_block(tensors, name, width, inner, shape.activation)
    name = f"bert.encoder.layer.{layer}"
    qkv = [
        tensors.linear(f"{name}.attention.self.{part}", width, width)
        for part in ("query", "key", "value")
    ]
    weights, biases = zip(*qkv, strict=True)
    up = tensors.linear(f"{name}.intermediate.dense", inner, width)
    down = tensors.linear(f"{name}.output.dense", width, inner)
    up, down, activation = _plain_activation(up, down, shape.activation)
    return BlockWeights(
        qkv=(torch.cat(weights), torch.cat(biases)),
        out=tensors.linear(f"{name}.attention.output.dense", width, width),
        attention_norm=tensors.norm(f"{name}.attention.output.LayerNorm", width),
        up=up,
        down=down,
        mlp_norm=tensors.norm(f"{name}.output.LayerNorm", width),
        activation=activation,
    )


def read_image_block(tensors: TensorReader, shape: ImageShape, layer: int) -> BlockWeights:
    """Read one layer of the image tower; a quick gelu becomes swish, x * sigmoid(x).

    It is x * sigmoid(1.702 x), which is swish(1.702 x) / 1.702: both factors are multiplied into
    the weights.
    """
    name = f"visual.transformer.resblocks.{layer}"
    width, inner = shape.vision_width, shape.inner_width
    return _read_clip_block(tensors, name, width, inner, shape.activation)


def _read_clip_block(
    tensors: TensorReader, name: str, width: int, inner: int, activation: TowerActivation
) -> BlockWeights:
    up = tensors.linear(f"{name}.mlp.c_fc", inner, width)
    down = tensors.linear(f"{name}.mlp.c_proj", width, inner)
    up, down, plain = _plain_activation(up, down, activation)
    return BlockWeights(
        qkv=(
            tensors.floats(f"{name}.attn.in_proj_weight", 3 * width, width),
            tensors.floats(f"{name}.attn.in_proj_bias", 3 * width),
        ),
        out=tensors.linear(f"{name}.attn.out_proj", width, width),
        attention_norm=tensors.norm(f"{name}.ln_1", width),
        up=up,
        down=down,
        mlp_norm=tensors.norm(f"{name}.ln_2", width),
        activation=plain,
    )


def _plain_activation(
    up: Affine, down: Affine, activation: TowerActivation
) -> tuple[Affine, Affine, Activation]:
    """Return the layers around an activation that every backend has, in place of a quick gelu."""
    if activation != "quick_gelu":
        return up, down, activation
    weight, bias = up
    up = weight * QUICK_GELU, bias * QUICK_GELU
    return up, (down[0] / QUICK_GELU, down[1]), "swish"
