"""Folders of models: the same bytes for digest, shapes and tensors, and hostile files."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tusou_lab.convert_model.run import convert_model

from tests.tiny_models import save_tiny_model
from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel
from tusou.encoders import (
    Weights,
    find_weights,
    image_transform,
    load_image_encoder,
    load_text_encoder,
    resolve_encoder,
)
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.model_folder import ModelFolder
from tusou.images.transform import ImageTransform


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    convert_model(str(save_tiny_model(folder / "a.pt")), "transformers", folder / "m")
    return folder / "m"


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "m"))


def vectors(weights: Weights, backend: str = "torch") -> Vectors:
    encoder = load_text_encoder(weights, "cpu", None, "fp32", backend)
    return encoder.encode(encoder.prepare(["红色碎花吊带裙"]))


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | values))


def test_a_folder_equals_the_checkpoint_that_it_was_made_of(original: Path) -> None:
    checkpoint = find_weights(str(original.parent / "a.pt"))
    np.testing.assert_array_equal(vectors(find_weights(str(original))), vectors(checkpoint))


@pytest.mark.parametrize(
    "name", ["open_clip_pytorch_model.pth", "pytorch_model.pth", "model.pth", "model.safetensors"]
)
def test_the_file_that_open_clip_opens_is_part_of_the_digest(tmp_path: Path, name: str) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}")
    (tmp_path / name).write_bytes(b"tensors")
    folder = ModelFolder(tmp_path)
    assert folder.open_clip_file().path == tmp_path / name
    digest = folder.digest
    (tmp_path / name).write_bytes(b"others!")
    assert ModelFolder(tmp_path).digest != digest


@pytest.mark.parametrize("place", ["text", "FacebookAI/xlm-roberta-base", "absolute"])
def test_what_configures_open_clips_text_tower_is_part_of_the_digest(
    tmp_path: Path, place: str
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    name = str(tmp_path / "elsewhere") if place == "absolute" else place
    settings = {"model_cfg": {"text_cfg": {"hf_model_name": name}}}
    (model / "open_clip_config.json").write_text(json.dumps(settings))
    (model / "model.safetensors").write_bytes(b"tensors")
    digests = [ModelFolder(model).digest]
    (model / name).mkdir(parents=True)
    for text in ("{}", '{"layer_norm_eps": 0.1}'):
        (model / name / "config.json").write_text(text)
        digests.append(ModelFolder(model).digest)
    assert len(set(digests)) == 3
    (model / name / "other.json").write_text("{}")
    assert ModelFolder(model).digest == digests[-1]


def test_digest_shapes_and_tensors_are_of_the_same_files(model: Path, tmp_path: Path) -> None:
    weights = find_weights(str(model))
    expected, digest = vectors(weights), weights.digest
    weights = find_weights(str(model))
    other = save_tiny_model(tmp_path / "b.pt", seed=1, embed_dim=32)
    convert_model(str(other), "transformers", tmp_path / "n")
    for path in (tmp_path / "n").iterdir():
        path.replace(model / path.name)  # as a download or a training that publishes its next
    assert weights.digest == digest
    np.testing.assert_array_equal(vectors(weights), expected)
    again = find_weights(str(model))
    assert again.digest != digest
    assert vectors(again).shape == (1, 32)
    assert isinstance(weights.file, ModelFolder)
    weights.file.check_unchanged()
    with pytest.raises(BadModel, match=r"config\.json changed while it was read: start again"):
        weights.file.check_unchanged(in_place=True)


def test_a_folder_that_is_written_to_is_not_used(model: Path) -> None:
    weights = find_weights(str(model))
    with (model / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadModel, match=r"model\.safetensors changed while it was read"):
        vectors(weights)


def test_the_digest_is_of_what_the_model_is_made_of(model: Path) -> None:
    digest = find_weights(str(model)).digest
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (model / "training_args.bin").write_bytes(b"not a part of the model")
    (model / "clip_cn.pt").write_bytes(b"nor this")
    assert find_weights(str(model)).digest == digest
    change_json(model / "tokenizer_config.json", model_max_length=64)
    assert find_weights(str(model)).digest != digest


def test_links_into_a_hubs_cache_are_followed(model: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots/4f7c", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(model.iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    linked, plain = find_weights(str(snapshot)), find_weights(str(model))
    assert linked.digest == plain.digest
    np.testing.assert_array_equal(vectors(linked), vectors(plain))


@pytest.mark.services
def test_converted_weights_are_kept_inside(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    weights = find_weights(str(model))
    expected = vectors(weights, "openvino")  # converted in another process
    assert [path.name for path in model.parent.iterdir()] == ["m"]
    (converted,) = (model / "tusou.openvino").glob("text-fp32-*")
    assert converted.name.endswith(weights.digest[:16])
    assert find_weights(str(model)).digest == weights.digest
    monkeypatch.chdir(model)
    np.testing.assert_array_equal(vectors(find_weights("."), "openvino"), expected)
    np.testing.assert_allclose(expected, vectors(weights), atol=1e-5)


def test_shapes_are_read_without_torch(original: Path) -> None:
    code = """
import sys
from tusou.encoders import find_weights, image_transform
from tusou.encoders.families import find_family
weights = find_weights(sys.argv[1])
assert image_transform(weights).side == 32
assert find_family(weights).read_shape(weights, "text").text_num_hidden_layers == 2
assert find_family(weights).count_parameters(weights, "image") > 1000
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(original)], check=True, timeout=60)


def deep_config(model: Path) -> None:
    (model / "config.json").write_text("[" * 100_000)


def large_config(model: Path) -> None:
    with (model / "config.json").open("ab") as file:
        file.truncate(65 * 1024**2)


def listed_config(model: Path) -> None:
    (model / "config.json").write_text("[]")


def section_of_text(model: Path) -> None:
    change_json(model / "config.json", vision_config="ViT-B-16")


def no_heads(model: Path) -> None:
    config = json.loads((model / "config.json").read_bytes())
    change_json(
        model / "config.json", text_config=config["text_config"] | {"num_attention_heads": 0}
    )


def too_many_heads(model: Path) -> None:
    config = json.loads((model / "config.json").read_bytes())
    change_json(
        model / "config.json", vision_config=config["vision_config"] | {"num_attention_heads": 7}
    )


def header_of(model: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = model / "model.safetensors"
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def larger_tensor(model: Path) -> None:
    header_of(model, lambda header: header["logit_scale"].update(shape=[10**9]))


def negative_shape(model: Path) -> None:
    header_of(model, lambda header: header["logit_scale"].update(shape=[-1, -1]))


def shape_of_words(model: Path) -> None:
    header_of(model, lambda header: header["logit_scale"].update(shape=["1"]))


def beyond_the_end(model: Path) -> None:
    offsets = [10**9, 10**9 + 4]
    header_of(model, lambda header: header["logit_scale"].update(data_offsets=offsets))


def unknown_type(model: Path) -> None:
    header_of(model, lambda header: header["logit_scale"].update(dtype="F7"))


def tensor_without_entry(model: Path) -> None:
    header_of(model, lambda header: header.update(logit_scale=None))


def endless_header(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(struct.pack("<Q", 2**63) + file.read_bytes()[8:])


def deep_header(model: Path) -> None:
    text = b"[" * 100_000
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


def missing_part(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    del tensors["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    save_file(tensors, model / "model.safetensors")


def unexpected_tensor(model: Path) -> None:
    tensors = load_file(model / "model.safetensors") | {"vision_model.head.bias": torch.ones(2)}
    save_file(tensors, model / "model.safetensors")


def fifo(model: Path) -> None:
    (model / "vocab.txt").unlink()
    os.mkfifo(model / "vocab.txt")


def index_of_numbers(model: Path) -> None:
    (model / "model.safetensors").rename(model / "a.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": 5}}))


def other_activation(model: Path) -> None:
    config = json.loads((model / "config.json").read_bytes())
    change_json(
        model / "config.json", vision_config=config["vision_config"] | {"hidden_act": "gelu"}
    )


def other_vocabulary(model: Path) -> None:
    (model / "vocab.txt").write_text("[PAD]\n[UNK]\n")


def other_mean(model: Path) -> None:
    change_json(model / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5])


def other_size(model: Path) -> None:
    change_json(model / "preprocessor_config.json", size={"height": 64, "width": 64})


def strange_settings(model: Path) -> None:
    change_json(model / "preprocessor_config.json", image_mean=5, size=[1])


def size_of_words(model: Path) -> None:
    change_json(model / "preprocessor_config.json", size="large", do_center_crop="no")


def capitals(model: Path) -> None:
    change_json(model / "tokenizer_config.json", do_lower_case=False)


def open_all(model: Path) -> None:
    weights = find_weights(str(model))
    resolve_encoder(weights, "text", "cpu")
    image_transform(weights)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (deep_config, r"config\.json is not a JSON object"),
        (large_config, r"config\.json has 68,157,440 bytes"),
        (listed_config, r"config\.json is not a JSON object"),
        (section_of_text, "has no vision_config"),
        (no_heads, "has 0 attention heads in text_config"),
        (too_many_heads, "cannot be divided into"),
        (larger_tensor, "damaged header"),
        (negative_shape, "damaged header"),
        (shape_of_words, "damaged header"),
        (beyond_the_end, "is cut off"),
        (unknown_type, "damaged header"),
        (tensor_without_entry, "damaged header"),
        (endless_header, "not a safetensors file, or is cut off"),
        (deep_header, "damaged header"),
        (missing_part, r"has no self_attn\.k_proj"),
        (unexpected_tensor, r"unexpected tensor 'vision_model\.head\.bias'"),
        (fifo, "not a regular file"),
        (index_of_numbers, "lists no tensors"),
        (other_activation, "has hidden_act 'gelu' in vision_config; Chinese-CLIP has 'quick_gelu'"),
        (other_vocabulary, "a vocabulary of its own, of 2 pieces"),
        (other_mean, "another mean or std"),
        (other_size, "does not make images squares of 32 pixels"),
        (strange_settings, "another mean or std"),
        (size_of_words, "does not make images squares"),
        (capitals, "keeps capitals"),
    ],
)
def test_hostile_and_contradictory_folders_are_refused(
    model: Path, damage: Callable[[Path], None], problem: str
) -> None:
    damage(model)
    with pytest.raises(BadModel, match=problem):
        open_all(model)


def test_code_in_pickled_tensors_is_not_run(model: Path, tmp_path: Path) -> None:
    class FileCreator:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "created",)

    (model / "model.safetensors").unlink()
    torch.save({"a": FileCreator()}, model / "pytorch_model.bin")
    with pytest.raises(BadModel, match="plain tensors"):
        vectors(find_weights(str(model)))
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(FileCreator()))
    with pytest.raises(BadModel, match="plain tensors"):
        vectors(find_weights(str(model)))
    assert not (tmp_path / "created").exists()


def test_pytorch_files_of_before_torch_1_6_are_read(model: Path) -> None:
    expected = vectors(find_weights(str(model)))
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    path = model / "pytorch_model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(vectors(find_weights(str(model))), expected)


def test_a_folder_that_crops_is_computed_so_and_recorded(model: Path) -> None:
    """The defaults of transformers' class: its own training prepares images in this way."""
    change_json(model / "preprocessor_config.json", size={"shortest_edge": 40}, do_center_crop=True,
                crop_size={"height": 32, "width": 32})  # fmt: skip
    weights = find_weights(str(model))
    expected = ImageTransform(32, "crop", 40, rgb_first=True)
    assert image_transform(weights) == expected
    resolved = resolve_encoder(weights, "image", "cpu", "fp32", "torch")
    assert resolved.record is not None
    assert resolved.record.transform.as_transform == expected
    assert resolved.record.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)
    assert load_image_encoder(weights, "cpu", "fp32", "torch").transform == expected


def test_a_folder_without_settings_of_images_is_computed_as_cn_clip_does(model: Path) -> None:
    (model / "preprocessor_config.json").unlink()
    weights = find_weights(str(model))
    assert image_transform(weights) == ImageTransform(32)
    assert resolve_encoder(weights, "image", "cpu").record is None


def test_tensors_of_the_other_tower_are_not_read(model: Path) -> None:
    tensors = read_weights(find_weights(str(model)))
    text = [name for name in tensors if name.startswith("bert.")]
    assert len(text) == 37
    assert tensors["text_projection"].shape == (64, 64)
