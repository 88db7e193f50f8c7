"""Tiny random models of multilingual families, and tokenizers of XLM-R's and NLLB's kinds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.models.tiny import CONTEXT, CORPUS, SIDE, spread, write_card

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_LANGUAGES = ["eng_Latn", "zho_Hans"]
_POSITIONS = 20
_DIM = 48
_TOWER = {
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_XLM_ROBERTA = _TOWER | {
    "model_type": "xlm-roberta",
    "max_position_embeddings": _POSITIONS,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
_NLLB = {
    "model_type": "m2m_100",
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 96,
    "max_position_embeddings": _POSITIONS,
    "scale_embedding": True,
    "pad_token_id": 1,
    "is_encoder_decoder": True,
}
_VISION = {"image_size": SIDE, "patch_size": 8, "width": 128, "layers": 2, "head_width": 64}


def save_tiny_alt_clip(folder: Path, seed: int = 0) -> Path:
    """Save an AltCLIP: XLM-R beside the image tower of CLIP."""
    import torch
    from transformers import AltCLIPConfig, AltCLIPModel

    torch.manual_seed(seed)
    text = {**_XLM_ROBERTA, "vocab_size": _save_xlm_roberta_tokenizer(folder), "project_dim": 40}
    del text["model_type"]
    vision = _TOWER | {"image_size": SIDE, "patch_size": 8}
    config = AltCLIPConfig(text_config=text, vision_config=vision, projection_dim=_DIM)
    return _save_transformers(folder, AltCLIPModel(config), "creativeml-openrail-m")


def save_tiny_metaclip2(folder: Path, seed: int = 0) -> Path:
    """Save a MetaCLIP 2: CLIP with the vocabulary of XLM-V."""
    import torch
    from transformers import MetaClip2Config, MetaClip2Model

    torch.manual_seed(seed)
    text = _TOWER | {
        "vocab_size": _save_xlm_roberta_tokenizer(folder),
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
    }
    vision = _TOWER | {"image_size": SIDE, "patch_size": 8, "hidden_act": "gelu"}
    config = MetaClip2Config(text_config=text, vision_config=vision, projection_dim=_DIM)
    return _save_transformers(folder, MetaClip2Model(config), "cc-by-nc-4.0")


def save_tiny_xlm_roberta_clip(folder: Path, seed: int = 0) -> Path:
    """Save an open_clip model with XLM-R's text tower, as a hub has it."""
    vocab_size = _save_xlm_roberta_tokenizer(folder)
    _save_text_config(folder, _XLM_ROBERTA | {"vocab_size": vocab_size})
    text = {"hf_pooler_type": "mean_pooler", "context_length": CONTEXT}
    return _save_hugging_face_text(folder, text, seed)


def save_tiny_nllb_clip(folder: Path, seed: int = 0) -> Path:
    """Save an open_clip model with NLLB's encoder as its text tower, as a hub has it."""
    vocab_size = _save_nllb_tokenizer(folder)
    _save_text_config(folder, _NLLB | {"vocab_size": vocab_size})
    text = {
        "hf_pooler_type": "cls_pooler",
        "hf_proj_type": "linear",
        "context_length": CONTEXT,
    }
    return _save_hugging_face_text(folder, text, seed)


def save_tiny_open_clip(folder: Path, seed: int = 0, **changes: object) -> Path:
    """Save an open_clip model with OpenAI's tokenizer and its own text tower.

    `changes` replace fields of the configuration's `model_cfg`.
    """
    text = {
        "context_length": 2 * CONTEXT,  # the vocabulary takes two tokens for a Chinese character
        "vocab_size": 49408,
        "width": 64,
        "heads": 1,
        "layers": 2,
    }
    model = {"embed_dim": _DIM, "vision_cfg": _VISION, "text_cfg": text, **changes}
    return _save_open_clip(folder, model, {}, seed)


def _save_transformers(folder: Path, model: Any, license_name: str) -> Path:
    from transformers import CLIPImageProcessorPil

    spread(model)
    model.save_pretrained(folder)
    size, crop = {"shortest_edge": SIDE}, {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(size=size, crop_size=crop).save_pretrained(folder)
    write_card(folder, license_name)
    return folder


def _save_hugging_face_text(folder: Path, text: dict[str, object], seed: int) -> Path:
    names = {"hf_model_name": str(folder / "text"), "hf_tokenizer_name": str(folder)}
    model = {"embed_dim": _DIM, "vision_cfg": _VISION, "text_cfg": names | text}
    return _save_open_clip(folder, model, {"resize_mode": "squash"}, seed)


def _save_open_clip(
    folder: Path, model_cfg: dict[str, Any], preprocess: dict[str, object], seed: int
) -> Path:
    """Save the files that `open_clip.push_to_hf_hub` uploads."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    path = folder / "open_clip_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    spread(model)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    write_card(folder, "mit")
    return folder


def _save_text_config(folder: Path, config: dict[str, Any]) -> None:
    (folder / "text").mkdir(parents=True)
    (folder / "text" / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _save_xlm_roberta_tokenizer(folder: Path) -> int:
    """Save a tokenizer with <s> as token 0 and <pad> as token 1; return its size.

    Its pieces are the words and characters of the texts: the library's own trainer finds others in
    every process.
    """
    from transformers import XLMRobertaTokenizer

    words = {f"▁{word}" for text in CORPUS for word in text.split()}
    characters = {character for word in words for character in word}
    vocab = [(piece, 0.0) for piece in _SPECIAL]
    vocab += [(piece, -len(piece) / 10) for piece in sorted(words)]
    vocab += [(piece, -8.0) for piece in sorted(characters - words)]
    return _save(XLMRobertaTokenizer(vocab=vocab, model_max_length=CONTEXT), folder)


def _save_nllb_tokenizer(folder: Path) -> int:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import NllbTokenizer

    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=[*_SPECIAL], show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = NllbTokenizer(
        vocab=model["vocab"],
        merges=merges,
        additional_special_tokens=_LANGUAGES,
        src_lang="zho_Hans",
        model_max_length=CONTEXT,
    )
    return _save(tokenizer, folder)


def _save(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> int:
    tokenizer.save_pretrained(folder)
    return len(tokenizer)
