"""A tiny random model whose code lies in its folder, as jina-clip and FG-CLIP have it."""

import json
from pathlib import Path
from typing import Literal

from tests.models.tiny import CONTEXT, CORPUS, SIDE, write_card

_CODE = """
import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_tiny import TinyConfig


class TinyModel(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        width = config.projection_dim
        self.text_embedding = nn.Embedding(config.vocab_size, width)
        self.text_mixer = nn.Linear(width, width)
        self.vision_patches = nn.Conv2d(3, width, 8, 8)
        self.vision_mixer = nn.Linear(width, width)
        self.logit_scale = nn.Parameter(torch.tensor(2.5))
        self.post_init()

    def get_text_features(self, input_ids, attention_mask=None):
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = attention_mask[:, :, None].to(self.text_mixer.weight.dtype)
        words = torch.tanh(self.text_mixer(self.text_embedding(input_ids))) * mask
        return words.sum(1) / mask.sum(1)

    def get_image_features(self, pixel_values):
        patches = self.vision_patches(pixel_values).flatten(2).transpose(1, 2)
        return torch.tanh(self.vision_mixer(patches)).mean(1)
"""
_CONFIGURATION = """
from transformers import PretrainedConfig


class TinyConfig(PretrainedConfig):
    model_type = "tiny_remote"

    def __init__(self, vocab_size=100, projection_dim=32, **options):
        super().__init__(**options)
        self.vocab_size = vocab_size
        self.projection_dim = projection_dim
"""
PROMPT = "Represent the query: "


def save_tiny_remote(
    folder: Path, seed: int = 0, like: Literal["jina", "fg_clip"] = "jina"
) -> Path:
    """Save a model; like jina-clip, texts are padded with a mask, and queries have a prompt."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modeling_tiny.py").write_text(_CODE)
    (folder / "configuration_tiny.py").write_text(_CONFIGURATION)
    tokens = _save_tokenizer(folder, masked=like == "jina")
    width = 32
    config = {
        "model_type": "tiny_remote",
        "vocab_size": tokens,
        "projection_dim": width,
        "text_config": {"max_position_embeddings": CONTEXT},
        "auto_map": {
            # jina-clip's code was published in a repository of its own.
            "AutoConfig": "tiny/implementation--configuration_tiny.TinyConfig",
            "AutoModel" if like == "jina" else "AutoModelForCausalLM": "modeling_tiny.TinyModel",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    tensors = {
        "text_embedding.weight": torch.randn(tokens, width),
        "text_mixer.weight": torch.randn(width, width) / 4,
        "text_mixer.bias": torch.randn(width) / 4,
        "vision_patches.weight": torch.randn(width, 3, 8, 8) / 4,
        "vision_patches.bias": torch.randn(width) / 4,
        "vision_mixer.weight": torch.randn(width, width) / 4,
        "vision_mixer.bias": torch.randn(width) / 4,
        "logit_scale": torch.tensor(2.5),
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    _save_processor(folder, like)
    write_card(folder, "cc-by-nc-4.0")
    return folder


def _save_tokenizer(folder: Path, *, masked: bool) -> int:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=True)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trained.train_from_iterator(
        CORPUS,
        trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False),
    )
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    trained.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 1_000_000,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "model_input_names": ["input_ids", *(["attention_mask"] if masked else [])],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return trained.get_vocab_size()


def _save_processor(folder: Path, like: str) -> None:
    if like == "jina":
        prompts = {"prompts": {"query": PROMPT, "passage": ""}, "default_prompt_name": None}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
        settings: dict[str, object] = {
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.25, 0.3],
            "size": SIDE,
            "resize_mode": "shortest",
            "interpolation": "bicubic",
        }
    else:
        settings = {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": SIDE},
            "crop_size": {"height": SIDE, "width": SIDE},
            "do_center_crop": True,
            "resample": 3,
        }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
