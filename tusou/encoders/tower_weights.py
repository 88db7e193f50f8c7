"""Weights of the towers' layers in float32, read from a checkpoint for every backend."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from tusou.encoders.architecture import QUICK_GELU, ImageShape, TextShape
from tusou.encoders.checkpoint import TensorReader

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


def read_text_embeddings(tensors: TensorReader, shape: TextShape) -> tuple[Tensor, Tensor, Affine]:
    """Read the embeddings of tokens and of positions, (rows, width), and the norm of their sum.

    Token embeddings stay as stored, mostly in float16: rows are converted when they are used. Every
    token is of type 0, whose embedding is added to the positions.
    """
    name, width = "bert.embeddings", shape.text_hidden_size
    words = tensors.take(f"{name}.word_embeddings.weight", shape.vocab_size, width)
    rows = shape.text_max_position_embeddings
    positions = tensors.floats(f"{name}.position_embeddings.weight", rows, width)
    rows = shape.text_type_vocab_size
    types = tensors.floats(f"{name}.token_type_embeddings.weight", rows, width)
    return words, positions + types[0], tensors.norm(f"{name}.LayerNorm", width)


def read_image_embeddings(
    tensors: TensorReader, shape: ImageShape
) -> tuple[Tensor, Tensor, Tensor, Affine]:
    """Read the first layer of a vision transformer.

    Returns the convolution (width, 3, patch, patch), the class token (width,) with its position,
    the positions of the patches (patches, width), and the norm that follows.
    """
    width, patch = shape.vision_width, shape.vision_patch_size
    assert patch is not None
    rows = (shape.image_resolution // patch) ** 2 + 1
    positions = tensors.floats("visual.positional_embedding", rows, width)
    class_token = tensors.floats("visual.class_embedding", width) + positions[0]
    conv = tensors.floats("visual.conv1.weight", width, 3, patch, patch)
    return conv, class_token, positions[1:], tensors.norm("visual.ln_pre", width)


def read_text_block(tensors: TensorReader, shape: TextShape, layer: int) -> BlockWeights:
    """Read one layer of the text tower."""
    name = f"bert.encoder.layer.{layer}"
    width, inner = shape.text_hidden_size, shape.text_intermediate_size
    qkv = [
        tensors.linear(f"{name}.attention.self.{part}", width, width)
        for part in ("query", "key", "value")
    ]
    weights, biases = zip(*qkv, strict=True)
    return BlockWeights(
        qkv=(torch.cat(weights), torch.cat(biases)),
        out=tensors.linear(f"{name}.attention.output.dense", width, width),
        attention_norm=tensors.norm(f"{name}.attention.output.LayerNorm", width),
        up=tensors.linear(f"{name}.intermediate.dense", inner, width),
        down=tensors.linear(f"{name}.output.dense", width, inner),
        mlp_norm=tensors.norm(f"{name}.output.LayerNorm", width),
    )


def read_image_block(tensors: TensorReader, shape: ImageShape, layer: int) -> BlockWeights:
    """Read one layer of the image tower; the activation after `up` is swish, x * sigmoid(x).

    cn_clip's is x * sigmoid(1.702 x), which is swish(1.702 x) / 1.702: both factors are multiplied
    into the weights.
    """
    name, width = f"visual.transformer.resblocks.{layer}", shape.vision_width
    up, up_bias = tensors.linear(f"{name}.mlp.c_fc", 4 * width, width)
    down, down_bias = tensors.linear(f"{name}.mlp.c_proj", width, 4 * width)
    return BlockWeights(
        qkv=(
            tensors.floats(f"{name}.attn.in_proj_weight", 3 * width, width),
            tensors.floats(f"{name}.attn.in_proj_bias", 3 * width),
        ),
        out=tensors.linear(f"{name}.attn.out_proj", width, width),
        attention_norm=tensors.norm(f"{name}.ln_1", width),
        up=(up * QUICK_GELU, up_bias * QUICK_GELU),
        down=(down / QUICK_GELU, down_bias),
        mlp_norm=tensors.norm(f"{name}.ln_2", width),
    )
