"""Shapes of the towers of open_clip that Tusou's own compute: CLIP's, XLM-R's and RoBERTa's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tusou.encoders.architecture import ImageShape, TextShape, TowerActivation, read_text_shape
from tusou.encoders.families.clip import read_clip_image_shape, read_clip_text_shape
from tusou.encoders.families.open_clip_config import OpenClipConfig
from tusou.encoders.forms.layouts import TensorShape

_EPS = 1e-5
_HEAD_WIDTH = 64
_ROBERTA = ("roberta", "xlm-roberta")
_MEAN = "mean_pooler"
_FIRST = "cls_last_hidden_state_pooler"
_TOKENIZER = "tokenizer.json"

# Settings of which Tusou's towers know one value: a tower that is built otherwise is open_clip's.
_PLAIN_TEXT: Mapping[str, Any] = {
    "ls_init_value": None,
    "embed_cls": False,
    "no_causal_mask": False,
    "final_ln_after_pool": False,
    "proj_type": "linear",
    "proj_bias": False,
    "act_kwargs": None,
    "norm_kwargs": None,
    "block_type": None,
    "qk_norm": False,
    "scaled_cosine_attn": False,
    "scale_heads": False,
    "scale_attn_inner": False,
    "scale_attn": False,
    "scale_fc": False,
    "tokenizer_mode": None,
    "tokenizer_kwargs": None,
}
_PLAIN_IMAGE: Mapping[str, Any] = {
    "timm_model_name": None,
    "ls_init_value": None,
    "attentional_pool": False,
    "no_ln_pre": False,
    "pos_embed_type": "learnable",
    "final_ln_after_pool": False,
    "pool_type": "tok",
    "act_kwargs": None,
    "norm_kwargs": None,
    "block_type": None,
    "qk_norm": False,
    "scaled_cosine_attn": False,
    "scale_heads": False,
    "scale_attn_inner": False,
    "scale_attn": False,
    "scale_fc": False,
}


def find_text_shape(config: OpenClipConfig, tensors: Mapping[str, TensorShape]) -> TextShape | None:
    """Return the shape of a text tower by its tensors' names in Tusou; None if open_clip runs it.

    Raises BadModel for an incomplete model.
    """
    if "multimodal_cfg" in config.model or not _is_plain(config.text, _PLAIN_TEXT):
        return None
    if config.has_library_tokenizer and not (config.folder / _TOKENIZER).is_file():
        return None
    return _roberta(config, tensors) if config.text_model else _clip(config, tensors)


def find_image_shape(
    config: OpenClipConfig, tensors: Mapping[str, TensorShape]
) -> ImageShape | None:
    """Return the shape of a vision transformer, likewise."""
    vision = config.vision
    layers = vision.get("layers", 12)
    if not isinstance(layers, int) or not _is_plain(vision, _PLAIN_IMAGE):
        return None
    heads = int(vision.get("width", 768)) // int(vision.get("head_width", _HEAD_WIDTH))
    return read_clip_image_shape(tensors, heads, _activation(config), _EPS)


def read_padding(config: OpenClipConfig) -> int:
    """Return the id of padding in the vocabulary of a text tower of transformers."""
    return int(config.read_text_model().get("pad_token_id", 1))


def _is_plain(settings: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    return all(settings.get(name, value) == value for name, value in plain.items())


def _activation(config: OpenClipConfig) -> TowerActivation:
    return "quick_gelu" if config.model.get("quick_gelu", False) else "gelu"


def _clip(config: OpenClipConfig, tensors: Mapping[str, TensorShape]) -> TextShape | None:
    """Return the shape of a causal tower whose last token makes the vector.

    That is the token with the largest id in OpenAI's vocabulary, or the first with a certain id.
    """
    pooling = "eos" if config.has_library_tokenizer else "argmax"
    if config.text.get("pool_type", "argmax") != pooling:
        return None
    heads = int(config.text.get("heads", 8))
    return read_clip_text_shape(tensors, heads, _activation(config), _EPS)


def _roberta(config: OpenClipConfig, tensors: Mapping[str, TensorShape]) -> TextShape | None:
    """Return the shape of a RoBERTa; its hidden layer of a projection has open_clip's gelu."""
    settings = config.read_text_model()
    pooling = config.text.get("hf_pooler_type", _MEAN)
    known = settings.get("model_type") in _ROBERTA and pooling in {_MEAN, _FIRST}
    if (
        not known
        or settings.get("hidden_act", "gelu") != "gelu"
        or "text_projection" not in tensors
    ):
        return None
    shape = read_text_shape(tensors, int(settings["num_attention_heads"]))
    hidden = tensors.get("text_projection_hidden")
    return replace(
        shape,
        vocab_size=shape.vocab_size + 1,
        eps=float(settings.get("layer_norm_eps", 1e-12)),
        pooling="mean" if pooling == _MEAN else "first",
        first_id=1,
        position_offset=read_padding(config) + 1,
        projection_hidden=hidden.shape[1] if hidden else 0,
    )
