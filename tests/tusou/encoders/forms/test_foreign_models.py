"""Files and folders without a supported model are identified, with what to do."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tusou_lab.convert_model.run import convert_model

from tests.tiny_models import save_tiny_model
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, resolve_encoder

CONFIG = {"model_type": "chinese_clip", "text_config": {}, "vision_config": {}}


def open_both(path: Path) -> None:
    weights = find_weights(str(path))
    resolve_encoder(weights, "image", "cpu")
    resolve_encoder(weights, "text", "cpu")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["config.json", "adapter_config.json", "adapter_model.safetensors"], "adapter.*merge"),
        (["adapter_config.json", "adapter_model.safetensors"], "adapter.*merge_and_unload"),
        (["model_index.json"], "diffusers pipeline"),
        (["config.json", "tf_model.h5"], r"TensorFlow alone: download its model\.safetensors"),
        (["config.json", "flax_model.msgpack", "tokenizer.json"], "Flax alone"),
        (["config.json", "m-q4_k.gguf"], "GGUF"),
        (["m-q4_k.gguf"], "GGUF"),
        (["config.json", "model.onnx"], "ONNX alone"),
        (["config.json"], r"has no file of tensors: download its model\.safetensors"),
        (["config.json", "model.safetensors.incomplete"], "not finished: start the download again"),
        (["modules.json", "0_CLIPModel"], "sentence-transformers.*0_CLIPModel"),
        (["refs", "blobs", "snapshots"], "a hub's cache"),
        (["CURRENT", "20261201T000000"], "is a bundle"),
        (["epoch1.pt", "epoch_latest.pt"], r"holds checkpoints: .* such as epoch1\.pt"),
        (["config.json", "clip_cn_rn50.pt"], r"such as clip_cn_rn50\.pt"),
        (["model.safetensors", "vocab.txt"], r"no config\.json: download the whole folder"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_folders_of_other_things(tmp_path: Path, files: list[str], problem: str) -> None:
    folder = tmp_path / "模型"
    folder.mkdir()
    for name in files:
        (folder / name).write_text(json.dumps(CONFIG) if name == "config.json" else "{}")
    with pytest.raises(BadModel, match=problem):
        open_both(folder)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"model_type": "bert"}, "is a text tower alone.*put it together"),
        ({"model_type": "vit"}, "is an image tower alone"),
        ({"model_type": "qwen2_vl"}, "is a language model, with model_type 'qwen2_vl'"),
        ({"_class_name": "UNet2DConditionModel"}, "is a part of a diffusers pipeline"),
        ({"model_type": "flava"}, r"has model_type 'flava', .* see docs/models\.md"),
        ({}, r"has model_type ''"),
    ],
)
def test_models_of_other_types(tmp_path: Path, config: dict[str, str], problem: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(BadModel, match=problem):
        open_both(tmp_path)


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        ("embeddings.word_embeddings.weight", "a text tower alone"),
        ("roberta.encoder.layer.0.output.dense.bias", "a text tower alone"),
        ("vision_model.embeddings.class_embedding", "tensors of a transformers folder: give the"),
        ("model.diffusion_model.input_blocks.0.0.weight", "diffusion model"),
        ("model.layers.0.self_attn.q_proj.weight", "a language model"),
        ("blocks.0.attn.qkv.weight", "an image tower alone"),
        ("layer1.0.conv1.weight", "a ResNet alone"),
        ("base_model.model.visual.proj.lora_A.weight", r"an adapter \(LoRA\)"),
    ],
)
def test_checkpoints_of_other_architectures(tmp_path: Path, tensor: str, problem: str) -> None:
    torch.save({"model": {tensor: torch.zeros(2)}, "epoch": 1}, tmp_path / "model.pt")
    with pytest.raises(BadModel, match=rf"model\.pt is not a cn_clip checkpoint, but .*{problem}"):
        open_both(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.safetensors", b"\x40\0\0\0\0\0\0\0{", "is a part of a model folder: give the"),
        ("config.json", b'{"model_type": "chinese_clip"}', "is a part of a model folder"),
        ("vit-b-16.img.fp32.onnx", b"\x08\x07", "is an ONNX graph"),
        ("flax_model.msgpack", b"\x84", "has weights for Flax"),
        ("tf_model.h5", b"\x89HDF\r\n\x1a\n", "has weights for TensorFlow"),
        ("m-q4_k.gguf", b"GGUF\x03\0\0\0", "is a GGUF file"),
    ],
)
def test_files_of_other_formats(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadModel, match=f"{name} {problem}"):
        open_both(tmp_path / name)


def remove_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    listed = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": listed}))


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def cut_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 5000) + b"{")


def replace_by_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")


def replace_by_page(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"<!DOCTYPE html><html><title>404</title></html>")


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def link_nowhere(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../../blobs/8a7f")


def index_elsewhere(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "../outside.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (remove_shard, "lacks 1 of its 2 files of tensors, such as model-00002-of-00002"),
        (
            cut,
            r"safetensors is cut off: [\d,]+ of [\d,]+ bytes are there; download it again",
        ),
        (cut_header, "not a safetensors file, or is cut off: download it again"),
        (replace_by_pointer, r"model\.safetensors is a Git LFS pointer.*run `git lfs pull`"),
        (replace_by_page, r"config\.json is a web page.*download it again"),
        (empty, r"model\.safetensors is empty; copy or download it again"),
        (link_nowhere, "is a link to a file that is not there: download it again"),
        (index_elsewhere, "lacks 1 of its 1 files of tensors"),
    ],
)
def test_incomplete_downloads(tmp_path: Path, damage: Callable[[Path], None], problem: str) -> None:
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", tmp_path / "m")
    open_both(tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(BadModel, match=problem):
        open_both(tmp_path / "m")
