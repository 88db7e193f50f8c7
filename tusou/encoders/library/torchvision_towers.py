"""ResNets and vision transformers of torchvision, recognised from the tensors of a checkpoint."""

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vision_transformer import VisionTransformer

from tusou.core.errors import BadModel
from tusou.encoders.architecture import Shaped

# The width of a head cannot be read from the tensors: it is 64, and 80 in ViT-H/14.
_HEAD_WIDTHS = {1280: 80}
_HEAD_WIDTH = 64
# The layers that classify, which no vector comes from.
CLASSIFIERS = ("fc.", "heads.")


def read_architecture(tensors: Mapping[str, Shaped], name: str) -> dict[str, Any]:
    """Return the arguments of `build_tower` for a state dict; BadModel for another architecture."""
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if {"conv_proj.weight", "class_token", "encoder.pos_embedding"} <= shapes.keys():
        return _read_transformer(shapes)
    if {"conv1.weight", "bn1.running_mean", "layer4.0.conv2.weight"} <= shapes.keys():
        return _read_resnet(shapes)
    raise BadModel(
        f"{name} is not a ResNet or a vision transformer of torchvision: save such a model with "
        "torch.save(model.state_dict(), path), or give a transformers folder"
    )


def build_tower(architecture: Mapping[str, Any]) -> nn.Module:
    """Build an untrained tower whose output is what its classifier would take: (n, width)."""
    settings = dict(architecture)
    if settings.pop("kind") == "resnet":
        block = Bottleneck if settings.pop("bottleneck") else BasicBlock
        resnet: nn.Module = ResNet(block, **settings)
        resnet.fc = nn.Identity()
        return resnet
    transformer: nn.Module = VisionTransformer(**settings)
    transformer.heads = nn.Identity()
    return transformer


def output_width(architecture: Mapping[str, Any]) -> int:
    """Return the width of the output of `build_tower`."""
    if architecture["kind"] == "resnet":
        return 2048 if architecture["bottleneck"] else 512
    return int(architecture["hidden_dim"])


def _read_resnet(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    out, inner, *_ = shapes["layer1.0.conv2.weight"]
    bottleneck = "layer1.0.conv3.weight" in shapes
    layers = [_count(shapes, rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4)]
    groups = out // inner
    return {
        "kind": "resnet",
        "bottleneck": bottleneck,
        "layers": layers,
        "groups": groups,
        "width_per_group": out // groups,
    }


def _read_transformer(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    width, _, patch, _ = shapes["conv_proj.weight"]
    _, positions, _ = shapes["encoder.pos_embedding"]
    first = "encoder.layers.encoder_layer_0.mlp"
    inner, _ = shapes.get(f"{first}.0.weight") or shapes[f"{first}.linear_1.weight"]
    return {
        "kind": "vit",
        "image_size": isqrt(positions - 1) * patch,
        "patch_size": patch,
        "num_layers": _count(shapes, r"encoder\.layers\.encoder_layer_(\d+)\."),
        "num_heads": width // _HEAD_WIDTHS.get(width, _HEAD_WIDTH),
        "hidden_dim": width,
        "mlp_dim": inner,
    }


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    return len({match[1] for name in shapes if (match := re.match(pattern, name))})
