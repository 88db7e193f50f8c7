"""Folders of models as transformers saves them, with what is read before any library is loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CONTEXT, WIDTH = 12, 8


def write_json(path: Path, fields: object) -> None:
    path.write_text(json.dumps(fields), encoding="utf-8")


def write_siglip(folder: Path, tokenizer: str = "SiglipTokenizer", **images: Any) -> Path:
    """Write a SigLIP of no layers; `images` are settings of its image processor."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"model_type": "siglip"})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": tokenizer})
    (folder / "spiece.model").write_bytes(b"pieces")
    write_json(folder / "preprocessor_config.json", {"size": {"height": 48, "width": 48}, **images})
    tensors = {
        "logit_scale": np.array([np.log(10)], np.float32),
        "logit_bias": np.array([-2.5], np.float16),
        "text_model.embeddings.position_embedding.weight": np.zeros((CONTEXT, WIDTH), np.float32),
        "text_model.head.bias": np.zeros(WIDTH, np.float32),
        "vision_model.head.mlp.fc2.bias": np.zeros(WIDTH, np.float32),
    }
    save_file(tensors, folder / "model.safetensors")
    return folder


def write_remote(folder: Path, **config: Any) -> Path:
    """Write a model with code of its own."""
    write_siglip(folder)
    auto_map = {
        "AutoConfig": "other/code--configuration_own.OwnConfig",
        "AutoModel": "modeling_own.OwnModel",
    }
    fields = {"model_type": "own", "projection_dim": WIDTH, "auto_map": auto_map, **config}
    write_json(folder / "config.json", fields)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 77})
    for name in ("configuration_own.py", "modeling_own.py"):
        (folder / name).write_text("raise RuntimeError('this code must not run')\n")
    return folder
