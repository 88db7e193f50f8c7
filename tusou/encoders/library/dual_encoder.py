"""Two pretrained towers with projections into one space, put together by `tusou convert-model`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from tusou.bundle.model_record import EncoderRecord
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights
from tusou.encoders.families.dual_encoder import read_pooling
from tusou.encoders.library.torchvision_towers import build_tower, output_width
from tusou.encoders.library.transformers_model import loading
from tusou.encoders.model_folder import ModelFolder

TENSORS = "model.safetensors"

# Text models of transformers that give a vector for each token, and have no layer after the last
# one if it is left out.
TEXT_TYPES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "ernie", "mpnet"})
# Image models of transformers: the vector is that of the first token, or the mean of all positions.
FIRST_TOKEN_TYPES = frozenset({"vit", "deit", "dinov2"})
POOLED_TYPES = frozenset({"resnet", "regnet", "convnext", "convnextv2"})
IMAGE_TYPES = FIRST_TOKEN_TYPES | POOLED_TYPES

_WITH_POOLER = TEXT_TYPES | {"vit", "deit"}
_INITIAL_LOG_SCALE = 2.6592  # of CLIP, log(1 / 0.07)


class DualEncoderNetwork(nn.Module):
    """A text tower, an image tower, or both, each with its projection.

    `config` is the content of the model's `config.json`. Parts have the names that transformers has
    for those of a model with two towers.
    """

    def __init__(self, config: Mapping[str, Any], towers: Sequence[Tower]) -> None:
        super().__init__()
        dim = int(config["projection_dim"])
        self._pooling = read_pooling(config)
        self._is_pooled = False
        if "text" in towers:
            text = config["text"]["config"]
            self.text_model = build_transformer(text)
            self.text_projection = nn.Linear(text["hidden_size"], dim, bias=False)
        if "image" in towers:
            image = config["image"]
            self._is_pooled = image["config"].get("model_type") in POOLED_TYPES
            self._is_torchvision = image["library"] == "torchvision"
            build = build_tower if self._is_torchvision else build_transformer
            self.vision_model = build(image["config"])
            self.visual_projection = nn.Linear(image["width"], dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(_INITIAL_LOG_SCALE))

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        return self

    def encode_text(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        projected: Tensor = self.text_projection(self.pool_text(ids, mask))
        return projected

    def encode_image(self, pixels: Tensor) -> Tensor:
        projected: Tensor = self.visual_projection(self.pool_image(pixels))
        return projected

    def pool_text(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return the text tower's own vectors, (n, width): of the first token, or their mean."""
        mask = torch.ones_like(ids) if mask is None else mask
        tokens: Tensor = self.text_model(input_ids=ids, attention_mask=mask).last_hidden_state
        if self._pooling == "first":
            return tokens[:, 0]
        present = mask.unsqueeze(-1).to(tokens.dtype)
        return (tokens * present).sum(1) / present.sum(1).clamp(min=1)

    def pool_image(self, pixels: Tensor) -> Tensor:
        """Return the image tower's own vectors, (n, width)."""
        output = self.vision_model(pixels)
        if self._is_torchvision:
            assert isinstance(output, Tensor)
            return output
        pooled: Tensor = (
            output.pooler_output.flatten(1) if self._is_pooled else output.last_hidden_state[:, 0]
        )
        return pooled

    def save_pretrained(self, folder: Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Write the tensors into a folder, as models of transformers do."""
        state = self.state_dict() if state_dict is None else state_dict
        tensors = {name: tensor.contiguous().cpu() for name, tensor in state.items()}
        save_file(tensors, Path(folder) / TENSORS, metadata={"format": "pt"})


def build_transformer(config: Mapping[str, Any]) -> nn.Module:
    """Build an untrained tower of transformers, without the layer that pools."""
    settings = dict(config)
    parsed = AutoConfig.for_model(**settings)
    module: nn.Module = AutoModel.from_config(parsed, **pooler_option(settings["model_type"]))
    return module


def pooler_option(model_type: str) -> dict[str, bool]:
    """Return the argument that leaves out a tower's pooling layer, if it has one."""
    return {"add_pooling_layer": False} if model_type in _WITH_POOLER else {}


def open_model(
    weights: Weights,
    _: EncoderRecord,
    towers: Sequence[Tower],
    dtype: torch.dtype,
    device: torch.device,
) -> DualEncoderNetwork:
    """Load towers of a folder; BadModel if it is damaged."""
    folder = weights.file
    assert isinstance(folder, ModelFolder)
    with loading(weights.name):
        model = DualEncoderNetwork(folder.config, towers)
        names = model.state_dict().keys()
        tensors = load_file(folder.path / TENSORS)
        model.load_state_dict({name: tensor for name, tensor in tensors.items() if name in names})
    weights.check_in_place()
    return model.eval().to(device, dtype)


def image_width(library: str, config: Mapping[str, Any]) -> int:
    """Return the width of an image tower's own vectors."""
    if library == "torchvision":
        return output_width(config)
    sizes = config.get("hidden_sizes")
    return int(sizes[-1] if sizes else config["hidden_size"])
