"""Backend, device and precision are settled before a tower is loaded, from its shape alone."""

from pathlib import Path

import pytest
import torch

from tests.tusou.encoders.conftest import Sample, published_config, random_model
from tusou.core.errors import BadModel, InvalidRequest, MissingDependency
from tusou.encoders import (
    ResolvedEncoder,
    Tower,
    Weights,
    find_weights,
    least_memory,
    resolve_encoder,
)
from tusou.encoders.select_backend import BACKENDS


@pytest.fixture(autouse=True)
def fast_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every machine be an x86-64 with bf16 and VNNI, and OpenVINO installed."""
    monkeypatch.setattr("tusou.encoders.select_backend.is_x86", lambda: True)
    monkeypatch.setattr("tusou.encoders.devices.is_x86", lambda: True)
    monkeypatch.setattr(
        "tusou.encoders.devices.cpu_features", lambda: frozenset({"avx512_bf16", "avx512_vnni"})
    )
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda name: name == "openvino")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Give a model whose towers are as heavy as ViT-B/16's with three layers."""
    folder = tmp_path_factory.mktemp("large")
    layers = {"vision_layers": 3, "text_num_hidden_layers": 3}
    model = random_model(published_config("ViT-B-16") | layers)
    torch.save(model.state_dict(), folder / "large.pt")
    return find_weights(str(folder / "large.pt"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("resnet")
    torch.save(random_model(published_config("RN50")).state_dict(), folder / "rn50.pt")
    return find_weights(str(folder / "rn50.pt"))


@pytest.mark.parametrize(
    ("tower", "precision", "expected"),
    [
        ("text", "auto", ResolvedEncoder("openvino", "cpu", "bf16")),
        ("image", "auto", ResolvedEncoder("openvino", "cpu", "bf16")),
        ("text", "int8", ResolvedEncoder("openvino", "cpu", "int8")),
        ("image", "int8", ResolvedEncoder("openvino", "cpu", "int8")),
        ("text", "fp32", ResolvedEncoder("openvino", "cpu", "fp32")),
        ("image", "fp32", ResolvedEncoder("openvino", "cpu", "fp32")),
        ("text", "fp16", ResolvedEncoder("torch", "cpu", "fp16")),
    ],
)
def test_a_processor_gets_the_faster_engine(
    large: Weights, tower: Tower, precision: str, expected: ResolvedEncoder
) -> None:
    assert resolve_encoder(large, tower, "cpu", precision, "auto") == expected


@pytest.mark.parametrize("tower", ["text", "image"])
def test_small_towers_stay_with_the_reference(tiny: Sample, tower: Tower) -> None:
    weights = find_weights(str(tiny.path))
    assert resolve_encoder(weights, tower, "cpu", "auto", "auto") == ResolvedEncoder(
        "torch", "cpu", "fp32"
    )
    assert resolve_encoder(weights, tower, "cpu", "auto", "openvino") == ResolvedEncoder(
        "openvino", "cpu", "fp32"
    )


def test_a_resnet_is_torchs_whatever_is_asked(resnet: Weights) -> None:
    for backend in BACKENDS:
        assert resolve_encoder(resnet, "image", "cpu", "auto", backend) == ResolvedEncoder(
            "torch", "cpu", "fp32"
        )
    assert resolve_encoder(resnet, "text", "cpu", "auto", "auto").backend == "openvino"


def test_without_the_package_torch_computes(
    large: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda _: None)
    assert resolve_encoder(large, "text", "cpu", "auto", "auto") == ResolvedEncoder(
        "torch", "cpu", "bf16"
    )
    with pytest.raises(MissingDependency, match="pip install openvino"):
        resolve_encoder(large, "text", "cpu", "auto", "openvino")


def test_elsewhere_than_on_x86_torch_computes(
    large: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.encoders.select_backend.is_x86", lambda: False)
    assert resolve_encoder(large, "text", "cpu", "auto", "auto").backend == "torch"


def test_a_gpu_is_torchs(large: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.encoders.select_backend.pick_device", lambda device: device)
    assert resolve_encoder(large, "text", "cuda:1", "auto", "auto") == ResolvedEncoder(
        "torch", "cuda:1", "fp16"
    )
    with pytest.raises(InvalidRequest, match="processors"):
        resolve_encoder(large, "text", "cuda:1", "auto", "openvino")


@pytest.mark.parametrize(
    ("precision", "backend", "says"),
    [("auto", "onnx", "backend"), ("fp16", "openvino", "fp32, bf16, int8")],
)
def test_refuses_what_cannot_be(large: Weights, precision: str, backend: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        resolve_encoder(large, "text", "cpu", precision, backend)


@pytest.mark.parametrize(("tower", "ours"), [("text", True), ("image", False)])
def test_the_least_memory_is_that_of_the_weights(tiny: Sample, tower: Tower, ours: bool) -> None:
    numbers = sum(
        one.numel()
        for name, one in tiny.stock.state_dict().items()
        if name != "logit_scale" and not name.startswith("bert.pooler")
        if name.startswith("visual.") is not ours
    )
    weights = find_weights(str(tiny.path))
    for precision, size in {"fp32": 4, "bf16": 2, "int8": 1}.items():
        choice = ResolvedEncoder("torch", "cpu", precision)
        assert least_memory(weights, tower, choice) == size * numbers
    assert least_memory(weights, tower, ResolvedEncoder("torch", "cuda", "fp16")) == 0


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18, b"not a model"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(BadModel):
        resolve_encoder(
            Weights(tmp_path / "model.pt", "model.pt", ""), "text", "cpu", "auto", "auto"
        )
