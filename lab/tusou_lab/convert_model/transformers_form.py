"""The folder that transformers' ChineseCLIPModel and ChineseCLIPProcessor read."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.core.files import sync
from tusou.encoders import Weights, image_transform
from tusou.encoders.architecture import IMAGE_EPS, TEXT_EPS, ImageShape, TextShape
from tusou.encoders.checkpoint import TENSORS
from tusou.encoders.families import find_family
from tusou.encoders.forms.transformers_names import to_transformers
from tusou.encoders.forms.vocabulary import vocabulary_path
from tusou.images.preprocess import MEAN, STD
from tusou.images.transform import ImageTransform
from tusou_lab.license_files import write_licenses


def write_folder(weights: Weights, tensors: Mapping[str, Tensor], out: Path) -> None:
    """Write a folder with everything that transformers reads; numbers are float32.

    BadModel for a ResNet.
    """
    family = find_family(weights)
    image, text = (family.read_shape(weights, tower) for tower in ("image", "text"))
    assert isinstance(image, ImageShape)
    assert isinstance(text, TextShape)
    if not image.is_transformer:
        raise BadModel(
            f"{weights.name} has a ResNet for images: transformers has no such Chinese-CLIP. Use "
            "it as the cn_clip checkpoint that it is"
        )
    named = to_transformers(tensors, TENSORS)
    named = {name: tensor.float().contiguous() for name, tensor in named.items()}
    out.mkdir()
    _write_json(out / "config.json", model_config(image, text))
    _write_json(out / "preprocessor_config.json", image_config(image_transform(weights)))
    _write_json(out / "tokenizer_config.json", _TOKENIZER)
    shutil.copyfile(vocabulary_path(), out / "vocab.txt")
    write_licenses(weights, out)
    save_file(named, out / "model.safetensors", metadata={"format": "pt"})
    for path in (*out.iterdir(), out):
        sync(path)


def model_config(image: ImageShape, text: TextShape) -> dict[str, object]:
    """Return the content of `config.json`."""
    dtype = str(torch.float32).removeprefix("torch.")
    return {
        "architectures": ["ChineseCLIPModel"],
        "model_type": "chinese_clip",
        "torch_dtype": dtype,
        "projection_dim": image.embed_dim,
        "logit_scale_init_value": 2.6592,
        "text_config": {
            "model_type": "chinese_clip_text_model",
            "vocab_size": text.vocab_size,
            "hidden_size": text.text_hidden_size,
            "intermediate_size": text.text_intermediate_size,
            "num_hidden_layers": text.text_num_hidden_layers,
            "num_attention_heads": text.text_num_attention_heads,
            "max_position_embeddings": text.text_max_position_embeddings,
            "type_vocab_size": text.text_type_vocab_size,
            "hidden_act": "gelu",
            "layer_norm_eps": TEXT_EPS,
            "pad_token_id": 0,
        },
        "vision_config": {
            "model_type": "chinese_clip_vision_model",
            "hidden_size": image.vision_width,
            "intermediate_size": 4 * image.vision_width,
            "num_hidden_layers": image.vision_layers,
            "num_attention_heads": image.vision_width // image.vision_head_width,
            "image_size": image.image_resolution,
            "patch_size": image.vision_patch_size,
            "projection_dim": image.embed_dim,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": IMAGE_EPS,
        },
    }


def image_config(transform: ImageTransform) -> dict[str, object]:
    """Return the content of `preprocessor_config.json`, as in the published folders."""
    side, crops = transform.side, transform.fit == "crop"
    square = {"height": side, "width": side}
    return {
        "image_processor_type": "ChineseCLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": transform.shorter_side or side} if crops else square,
        "resample": 3,
        "do_center_crop": crops,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }


_TOKENIZER = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "tokenize_chinese_chars": True,
    "strip_accents": None,
    "model_max_length": 52,
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def _write_json(path: Path, value: object) -> None:
    path.write_text(f"{json.dumps(value, indent=2)}\n", "utf-8")
