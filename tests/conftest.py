"""Fixtures of several packages: a small real model, and pools drawn by the tests."""

import json
import os
from pathlib import Path

import pytest
from drawing import image_line

# Tests run beside each other's servers: two OpenMP teams on two cores wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a cn_clip model of two layers with random weights, in cn_clip's own format."""
    import torch
    from cn_clip.clip.model import CLIP

    torch.manual_seed(0)
    model = CLIP(
        embed_dim=64,
        image_resolution=32,
        vision_layers=2,
        vision_width=64,
        vision_patch_size=8,
        vocab_size=21128,
        text_attention_probs_dropout_prob=0.1,
        text_hidden_act="gelu",
        text_hidden_dropout_prob=0.1,
        text_hidden_size=64,
        text_initializer_range=0.02,
        text_intermediate_size=128,
        text_max_position_embeddings=64,
        text_num_attention_heads=1,
        text_num_hidden_layers=2,
        text_type_vocab_size=2,
    )
    path = tmp_path_factory.mktemp("model") / "tiny.pt"
    state = {f"module.{name}": tensor.half() for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 0, "step": 0, "name": "tiny", "state_dict": state}, path)
    return path


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of 300 good images under the ids 1000..1299."""
    path = tmp_path_factory.mktemp("pool") / "MR_test_imgs.tsv"
    path.write_bytes(b"".join(image_line(1000 + seed, seed) for seed in range(300)))
    return path


@pytest.fixture(scope="session")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 40 queries for that pool."""
    path = tmp_path_factory.mktemp("queries") / "MR_test_queries.jsonl"
    rows = [
        {"query_id": 7000 + n, "query_text": f"{n}号红色碎花吊带裙", "item_ids": [1000 + n]}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path
