"""The layer of a tower that a parameter belongs to, by its name."""

import re
from collections.abc import Callable

from tusou_lab.train.models import TrainableModel

# Layers of transformers, cn_clip, open_clip and timm; a ResNet has stages named layer1 to layer4.
_LAYER = re.compile(r"\.(?:layers?|resblocks|blocks)\.(\d+)\.")
_STAGE = re.compile(r"\.layer(\d)\.")
# Modules before the first layer: embeddings, and the convolutions of a ResNet's stem.
_FIRST = re.compile(
    r"embed|\.conv\d|\.bn\d|patch_|ln_pre|pre_?layrnorm|cls_token|pos_|token_type", re.IGNORECASE
)


def layer_of(model: TrainableModel, name: str) -> int | None:
    """Return 0 for a parameter before the first layer, k for the k-th, None after the last.

    Projections and the scale, which belong to no tower, are after the last.
    """
    if model.part_of(name) == "head" or ".attnpool." in name:
        return None
    if match := _LAYER.search(name):
        return int(match.group(1)) + 1
    if match := _STAGE.search(name):
        return int(match.group(1))
    return 0 if _FIRST.search(name) else None


def depth_of(model: TrainableModel, part: str) -> int:
    """Count the layers of a tower, `vision` or `text`; 0 if its parameters show none."""
    names = (name for name, _ in model.network.named_parameters() if model.part_of(name) == part)
    return max((layer_of(model, name) or 0 for name in names), default=0)


def layer_factor(model: TrainableModel, decay: float) -> Callable[[str], float]:
    """Return the factor of each parameter's learning rate, multiplied by `decay` per layer down.

    The last layer of a tower and what comes after it have the factor 1.
    """
    depths = {part: depth_of(model, part) for part in ("vision", "text")}

    def factor(name: str) -> float:
        layer = layer_of(model, name)
        return 1.0 if layer is None else decay ** (depths[model.part_of(name)] - layer)

    return factor
