"""Families that a library runs: what their files say is read without the library."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tusou.encoders.families.folders import (
    CONTEXT,
    WIDTH,
    write_json,
    write_remote,
    write_siglip,
)
from tusou.bundle.model_record import EncoderRecord, differing_fields
from tusou.core.errors import BadModel, InvalidRequest, MissingDependency
from tusou.core.remote_code import TRUST_VARIABLE
from tusou.encoders import describe_encoder, find_weights, resolve_encoder
from tusou.encoders.families.license import read_card_license


def describe(folder: Path) -> EncoderRecord:
    record = describe_encoder(find_weights(str(folder)))
    assert record is not None
    return record


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST_VARIABLE, "on")


def test_siglip_is_described_by_its_files(tmp_path: Path) -> None:
    record = describe(write_siglip(tmp_path / "m"))
    assert (record.family, record.library, record.tokenizer) == (
        "siglip",
        "transformers",
        "SiglipTokenizer",
    )
    assert (record.context_length, record.padding, record.lower_case) == (
        CONTEXT,
        "max_length",
        True,
    )
    assert (record.logit_scale, record.logit_bias) == (pytest.approx(10), -2.5)
    assert (record.mean, record.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    transform = record.transform
    assert (transform.side, transform.fit, transform.interpolation) == (48, "squash", "bicubic")
    assert record.license is None


def test_siglip_2_reads_lower_case_whatever_its_tokenizer_does(tmp_path: Path) -> None:
    record = describe(write_siglip(tmp_path / "m", "GemmaTokenizer", resample=2))
    assert (record.family, record.lower_case) == ("siglip2", True)
    assert record.transform.interpolation == "bilinear"


def test_images_of_any_proportions_are_refused(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "m")
    write_json(folder / "config.json", {"model_type": "siglip2"})
    with pytest.raises(BadModel, match="NaFlex"):
        describe(folder)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"size": {"height": 48, "width": 32}}, "squares"),
        ({"size": {"longest_edge": 48}}, "squares"),
        ({"resample": 5}, "squares"),
        ({"do_rescale": False}, "scaled by 1.0"),
        ({"rescale_factor": 1.0}, "scaled by 1.0"),
        ({"do_resize": False}, "not resized"),
        ({"image_mean": [0.5]}, "three numbers"),
    ],
)
def test_preparations_of_images_that_tusou_does_not_do_are_refused(
    tmp_path: Path, settings: dict[str, Any], fault: str
) -> None:
    with pytest.raises(BadModel, match=fault):
        describe(write_siglip(tmp_path / "m", **settings))


def test_the_settings_inside_of_processor_config_count_too(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "m")
    (folder / "preprocessor_config.json").unlink()
    inside = {"size": {"height": 32, "width": 32}, "do_normalize": False}
    write_json(folder / "processor_config.json", {"image_processor": inside})
    record = describe(folder)
    assert (record.transform.side, record.mean, record.std) == (32, (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_are_read_in_every_type(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = write_siglip(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors["logit_bias"] = torch.tensor(-0.75, dtype=dtype)
    save_file(tensors, folder / "model.safetensors")
    assert describe(folder).logit_bias == -0.75


@pytest.mark.parametrize(
    ("bias", "fault"),
    [
        pytest.param(torch.tensor([1]), "has the type I64", id="integer"),
        pytest.param(torch.tensor([True]), "has the type BOOL", id="boolean"),
        pytest.param(torch.zeros(2), r"has the shape \[2\]", id="two"),
        pytest.param(torch.zeros(2).bfloat16(), r"has the shape \[2\]", id="two-of-bf16"),
        pytest.param(torch.zeros(0), r"has the shape \[0\]", id="none"),
    ],
)
def test_what_is_not_one_number_is_refused(tmp_path: Path, bias: torch.Tensor, fault: str) -> None:
    folder = write_siglip(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors") | {"logit_bias": bias}
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(BadModel, match=f"'logit_bias' in .*model.safetensors {fault}"):
        describe(folder)


def test_two_numbers_in_a_file_of_torch_are_refused(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors") | {"logit_bias": torch.zeros(2)}
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadModel, match="has 2 numbers"):
        describe(folder)


def test_a_folder_with_tensors_of_torch_alone_is_described(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "m")
    expected = describe(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert describe(folder) == expected


def test_a_library_is_the_only_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = find_weights(str(write_siglip(tmp_path / "m")))
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda name: name)
    resolved = resolve_encoder(weights, "text", "cpu", "fp32")
    assert (resolved.backend, resolved.shape.embed_dim) == ("transformers", WIDTH)
    for backend in ("torch", "openvino"):
        with pytest.raises(InvalidRequest, match=f"computed by transformers, not by {backend}"):
            resolve_encoder(weights, "text", "cpu", "fp32", backend)
    monkeypatch.setattr("tusou.encoders.devices.has_int8", lambda: True)
    with pytest.raises(InvalidRequest, match="fp32, bf16, fp16, not int8"):
        resolve_encoder(weights, "image", "cpu", "int8")


def test_a_resolved_encoder_does_not_describe_its_model_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = find_weights(str(write_siglip(tmp_path / "m")))
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda name: name)
    resolved = resolve_encoder(weights, "image", "cpu", "fp32")
    monkeypatch.setattr("tusou.encoders.select_backend.find_family", None)
    assert resolved.transform.side == 48


def test_a_library_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = find_weights(str(write_siglip(tmp_path / "m")))
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"install tusou\[models\]"):
        resolve_encoder(weights, "text", "cpu")


def test_code_of_its_own_is_refused_by_the_names_of_its_files(tmp_path: Path) -> None:
    folder = write_remote(tmp_path / "m")
    with pytest.raises(InvalidRequest) as raised:
        describe(folder)
    assert f"configuration_own.py, modeling_own.py in {folder}" in str(raised.value)
    assert "--trust-remote-code" in str(raised.value)


@pytest.mark.usefixtures("_trusted")
def test_a_trusted_model_is_described_without_running_its_code(tmp_path: Path) -> None:
    record = describe(write_remote(tmp_path / "m"))
    assert (record.family, record.architecture) == ("remote", "OwnModel")
    assert (record.context_length, record.padding) == (77, "longest")
    assert record.transform.fit == "squash"


@pytest.mark.usefixtures("_trusted")
def test_settings_by_open_clips_names_are_read(tmp_path: Path) -> None:
    folder = write_remote(tmp_path / "m")
    settings = {"size": 64, "resize_mode": "shortest", "interpolation": "bilinear", "mean": [0] * 3}
    write_json(folder / "preprocessor_config.json", settings)
    transform = describe(folder).transform
    assert (transform.side, transform.fit, transform.interpolation) == (64, "crop", "bilinear")
    assert (transform.rgb_first, transform.round_crop) == (False, True)
    write_json(folder / "preprocessor_config.json", {**settings, "resize_mode": "longest"})
    with pytest.raises(BadModel, match="resize_mode longest"):
        describe(folder)


@pytest.mark.usefixtures("_trusted")
def test_a_prompt_of_queries_is_the_template(tmp_path: Path) -> None:
    folder = write_remote(tmp_path / "m")
    prompts = {"prompts": {"query": "检索：", "passage": ""}}
    write_json(folder / "config_sentence_transformers.json", prompts)
    assert describe(folder).template == "检索：{query}"


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("---\nlicense: apache-2.0\n---\n# M\n", "apache-2.0"),
        ('---\nlicense: "cc-by-nc-4.0"\ntags:\n- a\n---\n', "cc-by-nc-4.0"),
        ("---\nlicense: other\nlicense_name: fair-noncommercial\n---\n", "fair-noncommercial"),
        ("---\nlicense: other\n---\n", "other"),
        ("# M\nlicense: mit\n", None),
        ("---\nlanguage: zh\n---\nlicense: mit\n", None),
    ],
)
def test_the_licence_is_that_of_the_cards_front_matter(
    tmp_path: Path, card: str, name: str | None
) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert read_card_license(tmp_path) == name


def test_each_setting_that_differs_is_named(tmp_path: Path) -> None:
    record = describe(write_siglip(tmp_path / "m"))
    other = record.model_copy(update={"lower_case": False, "license": "mit"})
    assert differing_fields(record, record) == []
    assert differing_fields(record, other) == ["lower_case is False, not True"]
    assert "family is chinese-clip, not siglip" in differing_fields(record, None)


def test_numbers_agree_up_to_rounding(tmp_path: Path) -> None:
    record = describe(write_siglip(tmp_path / "m"))
    rounded = {"mean": (0.5, 0.5 + 1e-8, 0.5), "logit_scale": record.logit_scale * (1 + 1e-7)}
    assert differing_fields(record, record.model_copy(update=rounded)) == []
    other = record.model_copy(update={"std": (0.5, 0.5, 0.501), "logit_scale": 10.1})
    assert [each.partition(" is ")[0] for each in differing_fields(record, other)] == [
        "std",
        "logit_scale",
    ]
