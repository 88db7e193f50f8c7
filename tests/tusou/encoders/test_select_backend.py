"""Backend, device and precision are chosen from a tower's shape, before it is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tusou.encoders.conftest import Sample, published_config, random_model
from tusou.core.errors import BadModel, InvalidRequest, MissingDependency
from tusou.core.lazy_import import LazyImport
from tusou.encoders import (
    BACKENDS,
    ResolvedEncoder,
    Tower,
    Weights,
    find_weights,
    resolve_encoder,
)
from tusou.encoders.openvino.precision_file import MeasuredPrecision


def choices(resolved: ResolvedEncoder) -> tuple[str, str, str]:
    return resolved.backend, resolved.device, resolved.precision


@pytest.fixture(autouse=True)
def fast_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to be an x86-64 processor with bf16 and VNNI, where OpenVINO is installed."""
    monkeypatch.setattr("tusou.encoders.select_backend.is_x86", lambda: True)
    monkeypatch.setattr("tusou.encoders.devices.is_x86", lambda: True)
    monkeypatch.setattr(
        "tusou.encoders.devices.cpu_features", lambda: frozenset({"avx512_bf16", "avx512_vnni"})
    )
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda name: name == "openvino")
    # As where no measurement can be kept.
    unmeasured = LazyImport("tests.tusou.encoders.test_select_backend:not_measured")
    monkeypatch.setattr("tusou.encoders.select_backend._MEASURE", unmeasured)


def not_measured(_: ResolvedEncoder) -> None:
    return None


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Save a model whose towers are ViT-B/16's with three layers."""
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


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.encoders.select_backend.find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("tower", "precision", "expected"),
    [
        ("text", "auto", ("openvino", "cpu", "bf16")),
        ("image", "auto", ("openvino", "cpu", "bf16")),
        ("text", "int8", ("openvino", "cpu", "int8")),
        ("image", "int8", ("openvino", "cpu", "int8")),
        ("text", "fp32", ("openvino", "cpu", "fp32")),
        ("image", "fp32", ("openvino", "cpu", "fp32")),
        ("text", "fp16", ("torch", "cpu", "fp16")),
    ],
)
def test_auto_is_the_faster_backend_on_a_processor(
    large: Weights, tower: Tower, precision: str, expected: tuple[str, str, str]
) -> None:
    resolved = resolve_encoder(large, tower, "cpu", precision, "auto")
    assert choices(resolved) == expected
    assert (resolved.weights, resolved.tower) == (large, tower)


@pytest.mark.parametrize("faster", ["fp32", "bf16"])
def test_auto_is_the_precision_that_was_measured_to_be_faster(
    large: Weights, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    times = {"fp32": {"1 text": 8.0}, "bf16": {"1 text": 8.0}} | {faster: {"1 text": 4.0}}
    measured = MeasuredPrecision(openvino="2026.4.1", cores=2, **times)
    monkeypatch.setattr("tusou.encoders.select_backend.read_measured", lambda *_: measured)
    resolved = resolve_encoder(large, "text", "cpu")
    assert (*choices(resolved), resolved.measured) == ("openvino", "cpu", faster, measured)
    for precision, backend in (("auto", "torch"), ("bf16", "auto"), ("fp32", "openvino")):
        resolved = resolve_encoder(large, "text", "cpu", precision, backend)
        expected = "bf16" if precision == "auto" else precision
        assert (resolved.precision, resolved.measured) == (expected, None)


def test_auto_is_not_measured_without_instructions_for_bf16(
    large: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.encoders.devices.cpu_features", frozenset)
    monkeypatch.setattr("tusou.encoders.select_backend.read_measured", None)
    assert choices(resolve_encoder(large, "text", "cpu")) == ("openvino", "cpu", "fp32")


@pytest.mark.parametrize("tower", ["text", "image"])
def test_auto_is_torch_for_small_towers(tiny: Sample, tower: Tower) -> None:
    weights = find_weights(str(tiny.path))
    resolved = resolve_encoder(weights, tower, "cpu", "auto", "auto")
    assert choices(resolved) == ("torch", "cpu", "fp32")
    resolved = resolve_encoder(weights, tower, "cpu", "auto", "openvino")
    assert choices(resolved) == ("openvino", "cpu", "fp32")


@pytest.mark.parametrize("tower", ["text", "image"])
def test_int8_is_openvino_for_small_towers_too(tiny: Sample, tower: Tower) -> None:
    resolved = resolve_encoder(find_weights(str(tiny.path)), tower, "cpu", "int8", "auto")
    assert choices(resolved) == ("openvino", "cpu", "int8")


def test_calibrated_int8_is_for_images_with_their_graph(
    large: Weights, resnet: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = f"int8-calibrated:{'0a' * 8}"
    for precision in ("int8-calibrated", named):
        assert resolve_encoder(large, "text", "cpu", precision).precision == "int8"
        with pytest.raises(InvalidRequest, match=r"ResNet.*fp32, fp16"):
            resolve_encoder(resnet, "image", "cpu", precision)
        with pytest.raises(InvalidRequest, match="OpenVINO alone"):
            resolve_encoder(large, "image", "cpu", precision, "torch")
    with pytest.raises(InvalidRequest, match=r"calibrated with a pool: use `tusou index`"):
        resolve_encoder(large, "image", "cpu", "int8-calibrated")
    with pytest.raises(BadModel, match=r"graph .* is not beside large\.pt: copy .*0a0a"):
        resolve_encoder(large, "image", "cpu", named)
    monkeypatch.setattr("tusou.encoders.select_backend.require_calibrated", lambda *_: None)
    resolved = resolve_encoder(large, "image", "cpu", named)
    assert choices(resolved) == ("openvino", "cpu", named)
    assert resolved.min_memory == resolved.parameter_count


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_resnet_runs_in_torch(resnet: Weights, backend: str) -> None:
    resolved = resolve_encoder(resnet, "image", "cpu", "auto", backend)
    assert choices(resolved) == ("torch", "cpu", "fp32")
    assert resolve_encoder(resnet, "text", "cpu", "auto", "auto").backend == "openvino"


def test_a_resnet_on_openvino_is_refused(resnet: Weights) -> None:
    with pytest.raises(InvalidRequest, match=r"ResNet.*backend auto or torch"):
        resolve_encoder(resnet, "image", "cpu", "auto", "openvino")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_resnet_in_a_precision_it_lacks_is_refused(
    resnet: Weights, backend: str, precision: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"ResNet.*fp32, fp16, not {precision}"):
        resolve_encoder(resnet, "image", "cpu", precision, backend)


@pytest.mark.usefixtures("without_openvino")
def test_auto_is_torch_where_openvino_is_not_installed(large: Weights) -> None:
    resolved = resolve_encoder(large, "text", "cpu", "auto", "auto")
    assert choices(resolved) == ("torch", "cpu", "bf16")
    with pytest.raises(MissingDependency, match=r"install tusou\[cpu\]"):
        resolve_encoder(large, "text", "cpu", "auto", "openvino")


@pytest.mark.usefixtures("without_openvino")
@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_int8_without_openvino_names_the_extra(large: Weights, backend: str) -> None:
    with pytest.raises(MissingDependency, match=r"int8.*install tusou\[cpu\]"):
        resolve_encoder(large, "text", "cpu", "int8", backend)


def test_int8_in_torch_names_the_backend_and_the_extra(large: Weights) -> None:
    with pytest.raises(InvalidRequest, match=r"int8.*openvino.*tusou\[cpu\]"):
        resolve_encoder(large, "text", "cpu", "int8", "torch")


def test_auto_is_torch_on_other_processors_than_x86(
    large: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.encoders.select_backend.is_x86", lambda: False)
    assert resolve_encoder(large, "text", "cpu", "auto", "auto").backend == "torch"


def test_auto_is_torch_on_a_gpu(large: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.encoders.select_backend.pick_device", lambda device: device)
    resolved = resolve_encoder(large, "text", "cuda:1", "auto", "auto")
    assert choices(resolved) == ("torch", "cuda:1", "fp16")
    with pytest.raises(InvalidRequest, match="processors"):
        resolve_encoder(large, "text", "cuda:1", "auto", "openvino")
    for backend in BACKENDS:
        with pytest.raises(InvalidRequest, match=r"int8.*openvino.*tusou\[cpu\]"):
            resolve_encoder(large, "text", "cuda:1", "int8", backend)


@pytest.mark.parametrize(
    ("precision", "backend", "message"),
    [("auto", "onnx", "backend"), ("fp16", "openvino", "fp32, bf16, int8")],
)
def test_unknown_and_unsupported_choices_are_refused(
    large: Weights, precision: str, backend: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        resolve_encoder(large, "text", "cpu", precision, backend)


@pytest.mark.parametrize(("tower", "is_text"), [("text", True), ("image", False)])
def test_the_minimum_memory_is_that_of_the_parameters(
    tiny: Sample, tower: Tower, is_text: bool
) -> None:
    count = sum(
        tensor.numel()
        for name, tensor in tiny.stock.state_dict().items()
        if name != "logit_scale" and not name.startswith("bert.pooler")
        if name.startswith("visual.") is not is_text
    )
    resolved = resolve_encoder(find_weights(str(tiny.path)), tower, "cpu")
    for precision, size in {"fp32": 4, "bf16": 2, "int8": 1}.items():
        assert replace(resolved, precision=precision).min_memory == size * count
    assert replace(resolved, device="cuda", precision="fp16").min_memory == 0


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18, b"not a model"])
def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(BadModel):
        resolve_encoder(Weights(tmp_path / "model.pt", "model.pt", ""), "text")
