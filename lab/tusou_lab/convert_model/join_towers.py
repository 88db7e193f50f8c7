"""Puts a pretrained text tower and a pretrained image tower together into one model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tusou.core.errors import OutputExists
from tusou.encoders import find_weights
from tusou.encoders.families.dual_encoder import MODEL_TYPE, digest_projections, untrained_note
from tusou.encoders.library.dual_encoder import DualEncoderNetwork, image_width
from tusou.encoders.model_folder import CONFIG, ModelFolder
from tusou_lab.convert.output_folder import output_folder
from tusou_lab.convert_model.sentence_modules import Pooling
from tusou_lab.convert_model.tower_sources import (
    ImageSource,
    TextSource,
    read_image_source,
    read_text_source,
)
from tusou_lab.license_files import copy_licenses

MARK = "towers.json"  # written last: where the towers come from


@dataclass(frozen=True, slots=True)
class JoinedModel:
    """The model that two towers became."""

    folder: Path
    text: str  # the type of the tower
    image: str
    dim: int
    seed: int
    pooling: Pooling
    context_length: int
    license: str | None
    note: str  # on its use


def join_towers(
    text: str,
    image: str,
    dim: int,
    out: Path,
    *,
    seed: int = 0,
    pooling: Pooling | None = None,
    force: bool = False,
) -> JoinedModel:
    """Write a model of two towers and new projections to `dim` into the folder `out`.

    `text` is a folder of transformers or sentence-transformers, `image` a folder of transformers or
    a state dict of torchvision. The same seed draws the same projections. Without `pooling`, it is
    what the text tower was trained with, as far as its folder tells. Raises BadModel for what is
    not such a tower, and OutputExists if `out` exists, unless this made it, it was not trained
    since, and `force` is set.
    """
    _check_untrained(out)
    with output_folder(out, MARK, "convert-model", force=force) as folder:
        texts, images = read_text_source(text, pooling), read_image_source(image)
        config = _describe(texts, images, dim)
        model = _join(config, texts, images, seed)
        texts.tokenizer.save_pretrained(folder)
        _copy_licenses(texts, images, folder)
        model.save_pretrained(folder)
        _write(folder / CONFIG, config)
        digest = digest_projections(ModelFolder(folder))
        _write(folder / CONFIG, config | {"initial_projections": digest})
        sources = {"text": texts.digest, "image": images.digest, "seed": seed}
        _write(folder / MARK, sources)
    return JoinedModel(
        out,
        config["text"]["config"]["model_type"],
        config["image"]["config"].get("model_type") or config["image"]["config"]["kind"],
        dim,
        seed,
        texts.pooling,
        texts.context,
        config["license"],
        untrained_note(find_weights(str(out))) or "",
    )


def _check_untrained(out: Path) -> None:
    """Raise OutputExists for a trained model, which must not be lost by mistake."""
    if (out / MARK).is_file() and untrained_note(find_weights(str(out))) is None:
        raise OutputExists(f"{out} was trained since its towers were put together: choose another")


def _describe(texts: TextSource, images: ImageSource, dim: int) -> dict[str, Any]:
    """Return the content of the model's `config.json`."""
    return {
        "model_type": MODEL_TYPE,
        "projection_dim": dim,
        "context_length": texts.context,
        "text": {"config": texts.config, "pooling": texts.pooling},
        "image": {
            "library": images.library,
            "config": images.config,
            "width": image_width(images.library, images.config),
        },
        "transform": images.images.transform.model_dump(),
        "mean": images.images.mean,
        "std": images.images.std,
        "license": _join_licenses(texts.license, images.license),
        "initial_projections": "",
    }


def _join(
    config: dict[str, Any], texts: TextSource, images: ImageSource, seed: int
) -> DualEncoderNetwork:
    model = DualEncoderNetwork(config, ())
    model.text_model, model.vision_model = texts.module, images.module
    generator = torch.Generator().manual_seed(seed)
    widths = texts.config["hidden_size"], config["image"]["width"]
    model.text_projection, model.visual_projection = (
        _new_projection(width, config["projection_dim"], generator) for width in widths
    )
    return model


def _new_projection(width: int, dim: int, generator: torch.Generator) -> nn.Linear:
    """Return a projection with the numbers that CLIP's training starts with."""
    projection = nn.Linear(width, dim, bias=False)
    nn.init.normal_(projection.weight, std=width**-0.5, generator=generator)
    return projection


def _join_licenses(text: str | None, image: str | None) -> str | None:
    """Return both licences in one expression; None if neither tower's files name one."""
    if text == image:
        return text
    return " AND ".join(sorted({text or "unknown", image or "unknown"}))


def _copy_licenses(texts: TextSource, images: ImageSource, folder: Path) -> None:
    """Copy the cards and licences of the towers, each under a name with its tower."""
    copy_licenses(texts.folder.path, folder, "text-")
    if images.folder is not None:
        copy_licenses(images.folder.path, folder, "image-")


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    path.write_text(text, encoding="utf-8")
