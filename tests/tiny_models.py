"""Small cn_clip models with random weights, each seed another one."""

from pathlib import Path

CONFIG = {
    "embed_dim": 64,
    "image_resolution": 32,
    "vision_layers": 2,
    "vision_width": 64,
    "vision_patch_size": 8,
    "vocab_size": 21128,
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,
    "text_hidden_size": 64,
    "text_initializer_range": 0.02,
    "text_intermediate_size": 128,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 1,
    "text_num_hidden_layers": 2,
    "text_type_vocab_size": 2,
}


def save_tiny_model(path: Path, seed: int = 0, **changes: object) -> Path:
    """Save a model of two layers in cn_clip's own format."""
    import torch
    from cn_clip.clip.model import CLIP

    torch.manual_seed(seed)
    model = CLIP(**CONFIG | changes)
    state = {f"module.{name}": tensor.half() for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 0, "step": 0, "name": "tiny", "state_dict": state}, path)
    return path
