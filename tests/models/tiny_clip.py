"""Tiny random models of CLIP's family, and its tokenizer with a small vocabulary."""

import json
from pathlib import Path

from benchmarks.clip_vocabulary import clip_vocabulary
from tests.models.tiny import write_card

CLIP_CONTEXT = 24
_SIDE = 32
_TOWER = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}


def save_clip_vocabulary(folder: Path) -> int:
    """Write `vocab.json` and `merges.txt` as CLIP was published with; return the ids' number."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = clip_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return len(vocabulary)


def save_tiny_clip(folder: Path, seed: int = 0, activation: str = "quick_gelu") -> Path:
    """Save a CLIP as transformers does, with the tokenizer and the images of OpenAI's."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    vocabulary, merges = clip_vocabulary()
    torch.manual_seed(seed)
    act = {"hidden_act": activation}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": CLIP_CONTEXT}
    ends = {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1}
    vision = {"image_size": _SIDE, "patch_size": 8, "num_attention_heads": 4}
    model = CLIPModel(
        CLIPConfig(
            text_config=_TOWER | act | text | ends,
            vision_config=_TOWER | act | vision,
            projection_dim=48,
        )
    )
    with torch.no_grad():  # different inputs need clearly different vectors
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
            elif "norm" in name or name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder)
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_CONTEXT)
    tokenizer.save_pretrained(folder)
    size, crop = {"shortest_edge": _SIDE}, {"height": _SIDE, "width": _SIDE}
    CLIPImageProcessorPil(size=size, crop_size=crop).save_pretrained(folder)
    write_card(folder, "mit")
    return folder
