"""Identifies folders without a supported model by their files, and says what to do."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

_SAVE = "load it in transformers and save it with `save_pretrained`"
_SAFE = "download its model.safetensors or pytorch_model.bin too"

_UNFINISHED = "holds a download that has not finished: start the download again"
_TENSORFLOW = f"has its weights for TensorFlow alone: {_SAFE}, or {_SAVE}"

# The first pattern that a name in the folder matches decides; {} is the first such name.
_KINDS = (
    ("*.incomplete", _UNFINISHED),
    ("*.part", _UNFINISHED),
    ("._____temp", _UNFINISHED),
    (
        "adapter_config.json",
        (
            "is an adapter (LoRA), not a model: merge it into its base model with "
            "`merge_and_unload()` and save that"
        ),
    ),
    (
        "model_index.json",
        (
            "is a diffusers pipeline, which draws images: it has no text and image "
            "tower that share their vectors"
        ),
    ),
    ("snapshots", "is a hub's cache: give one of the folders in its snapshots/"),
    ("CURRENT", "is a bundle: give the model that it was made with, see `tusou info`"),
    ("*.gguf", f"has its weights as GGUF, for llama.cpp: {_SAFE}"),
    ("tf_model.h5", _TENSORFLOW),
    ("*.ckpt.index", _TENSORFLOW),
    ("saved_model.pb", _TENSORFLOW),
    ("flax_model.msgpack", f"has its weights for Flax alone: {_SAFE}, or {_SAVE}"),
    (
        "text.onnx",
        (
            "is for programs that run ONNX, as `tusou convert-model --to onnx` writes it: give the "
            "model that it was made of, see its model.json"
        ),
    ),
    ("*.onnx", f"has its weights as ONNX alone: {_SAFE}"),
    ("openvino_model.xml", f"has its weights for OpenVINO alone: {_SAFE}"),
    (
        "*_model_states.pt",
        (
            "has its weights as DeepSpeed divides them: join them with "
            "`zero_to_fp32.py`, which is beside them"
        ),
    ),
    (
        "*.distcp",
        (
            "has its weights as FSDP divides them: join them with "
            "`torch.distributed.checkpoint.format_utils`"
        ),
    ),
    ("*.pt", "holds checkpoints: give one of them, such as {}"),
    ("*.pth", "holds checkpoints: give one of them, such as {}"),
)
_WITHOUT_CONFIG = (
    (
        "modules.json",
        (
            "is a model of sentence-transformers: give the folder of the CLIP model "
            "inside, such as 0_CLIPModel, if it has one"
        ),
    ),
    ("*.safetensors", "has tensors and no config.json: download the whole folder"),
    ("*.bin", "has tensors and no config.json: download the whole folder"),
)

_TEXT_ALONE = "a text tower alone"
_IMAGE_ALONE = "an image tower alone"
_TOGETHER = (
    "put it together with one of the other kind, "
    "`tusou convert-model --text DIR --image DIR --out NEW`"
)
# Prefixes of the model_type in config.json.
_TYPES = {
    "chinese_clip_text": _TEXT_ALONE,
    "chinese_clip_vision": _IMAGE_ALONE,
    "clip_text": _TEXT_ALONE,
    "clip_vision": _IMAGE_ALONE,
    "siglip_text": _TEXT_ALONE,
    "siglip_vision": _IMAGE_ALONE,
    "bert": _TEXT_ALONE,
    "roberta": _TEXT_ALONE,
    "xlm-roberta": _TEXT_ALONE,
    "distilbert": _TEXT_ALONE,
    "electra": _TEXT_ALONE,
    "ernie": _TEXT_ALONE,
    "vit": _IMAGE_ALONE,
    "resnet": _IMAGE_ALONE,
    "swin": _IMAGE_ALONE,
    "convnext": _IMAGE_ALONE,
    "dinov": _IMAGE_ALONE,
    "beit": _IMAGE_ALONE,
    "llama": "a language model",
    "qwen": "a language model",
    "gpt": "a language model",
    "mistral": "a language model",
    "t5": "a language model",
    "blip": "a model that writes captions",
}


def describe_foreign_folder(path: Path) -> str | None:
    """Return what a folder without a model is, and what to do; None if its files say nothing.

    Raises OSError if it cannot be read.
    """
    names = sorted(entry.name for entry in path.iterdir())
    return _describe_names(names, (*_KINDS, *_WITHOUT_CONFIG))


def describe_missing_tensors(names: Sequence[str]) -> str:
    """Return what a folder with a config.json holds in place of tensors that can be read."""
    return _describe_names(names, _KINDS) or f"has no file of tensors: {_SAFE}"


def _describe_names(names: Sequence[str], table: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, sentence in table:
        match = next((name for name in names if fnmatch(name, pattern)), None)
        if match is not None:
            return sentence.format(match)
    return None


def describe_type(config: Mapping[str, Any]) -> str:
    """Return what a model is whose type no family encodes with, and what to do."""
    if "_class_name" in config:
        return "is a part of a diffusers pipeline, which draws images"
    kind = str(config.get("model_type", ""))
    known = next((text for start, text in _TYPES.items() if kind.startswith(start)), None)
    if known in {_TEXT_ALONE, _IMAGE_ALONE}:
        return f"is {known} (model_type {kind!r}): {_TOGETHER}"
    is_what = f"is {known}, with" if known else "has"
    return f"{is_what} model_type {kind!r}, which Tusou does not encode with: see docs/models.md"
