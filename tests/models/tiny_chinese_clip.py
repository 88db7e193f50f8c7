"""Random models of transformers' ChineseCLIPModel, tiny or of the published size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import ChineseCLIPConfig, ChineseCLIPModel

from tusou.encoders.forms.vocabulary import cn_clip_pieces

TINY: dict[str, dict[str, Any]] = {
    "text_config": {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "max_position_embeddings": 60,
    },
    "vision_config": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "image_size": 32,
        "patch_size": 8,
    },
}
B16: dict[str, dict[str, Any]] = {
    "text_config": {},
    "vision_config": {"patch_size": 16},
}


@dataclass(frozen=True)
class LibraryModel:
    """A folder, and the model of transformers that gives the expected vectors."""

    folder: Path
    model: Any
    side: int


def save_chinese_clip(
    folder: Path,
    shape: dict[str, dict[str, Any]],
    seed: int = 0,
    *,
    projection_dim: int = 48,
    dtype: torch.dtype = torch.float32,
    **options: object,
) -> LibraryModel:
    """Save a random model that distinguishes inputs, as `save_pretrained` does."""
    torch.manual_seed(seed)
    text = shape["text_config"] | {"vocab_size": len(cn_clip_pieces())}
    config = ChineseCLIPConfig(
        text_config=text, vision_config=shape["vision_config"], projection_dim=projection_dim
    )
    model = ChineseCLIPModel(config).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        elif parameter.ndim > 1 and "embedding" not in name:
            parameter.data.mul_(1.2 / (parameter.data.std() * parameter[0].numel() ** 0.5))
    model.to(dtype).save_pretrained(folder, **options)
    return LibraryModel(folder, model.float(), config.vision_config.image_size)
