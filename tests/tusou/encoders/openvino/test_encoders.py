"""Conversion for OpenVINO, its cache, and starts without torch."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tusou.encoders.conftest import Sample
from tusou.core.errors import BadModel
from tusou.encoders import Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.devices import has_int8
from tusou.encoders.openvino.cache import find_cached

pytest.importorskip("openvino")

_LOAD = """
import sys
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
weights = find_weights(sys.argv[1])
texts = load_text_encoder(weights, "auto", precision="fp32", backend="openvino")
texts.warm_up()
print(texts.encode(texts.prepare(["红色碎花裙", "裙"])).tobytes().hex())
images = load_image_encoder(weights, "auto", "fp32", "openvino")
assert not {"torch", "torchvision"} & set(sys.modules)
"""


@pytest.fixture
def weights(tiny: Sample, tmp_path: Path) -> Weights:
    shutil.copy(tiny.path, tmp_path / "model.pt")
    return find_weights(str(tmp_path / "model.pt"))


def vectors_in_another_process(weights: Weights) -> str:
    command = [sys.executable, "-c", _LOAD, str(weights.path)]
    return subprocess.run(
        command, check=True, timeout=120, capture_output=True, text=True
    ).stdout.strip()


def test_no_start_imports_torch(weights: Weights) -> None:
    first = vectors_in_another_process(weights)
    cached = find_cached(weights, "text", "fp32")
    assert cached is not None
    written = cached.stat().st_mtime_ns
    assert vectors_in_another_process(weights) == first
    assert cached.stat().st_mtime_ns == written
    encoder = load_text_encoder(weights, "cpu", precision="fp32", backend="openvino")
    vectors = encoder.encode(encoder.prepare(["红色碎花裙", "裙"]))
    assert vectors.tobytes().hex() == first


@pytest.mark.parametrize("known", [True, False], ids=["known-before", "noticed-on-writing"])
def test_encoders_load_without_a_writable_folder(
    weights: Weights,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    weights.path.with_name("model.pt.openvino").write_text("a file in the way")
    if known:  # as on a read-only file system
        monkeypatch.setattr("tusou.encoders.openvino.cache.os.access", lambda *_: False)
        monkeypatch.setattr("tusou.encoders.openvino.encoders._run_converter", None)
    encoder = load_text_encoder(weights, "cpu", precision="fp32", backend="openvino")
    reference = load_text_encoder(weights, "cpu", precision="fp32", backend="torch")
    tokens = encoder.prepare(["红色碎花裙", "裙"])
    np.testing.assert_allclose(encoder.encode(tokens), reference.encode(tokens), atol=1e-5)
    assert "every start converts them again" in caplog.text


@pytest.mark.usefixtures("converts_here")
def test_a_damaged_graph_is_converted_again(
    weights: Weights, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def vectors() -> bytes:
        encoder = load_text_encoder(weights, "cpu", precision="fp32", backend="openvino")
        return encoder.encode(encoder.prepare(["红色碎花裙", "裙"])).tobytes()

    first, cached = vectors(), find_cached(weights, "text", "fp32")
    assert cached is not None
    constants = bytearray((cached / "graph.bin").read_bytes())
    constants[len(constants) // 2] ^= 0x40
    (cached / "graph.bin").write_bytes(constants)
    assert vectors() == first == vectors()
    assert caplog.text.count("converting the text tower of model.pt") == 2
    assert find_cached(weights, "text", "fp32") is not None


@pytest.mark.usefixtures("converts_here")
def test_weights_that_change_during_conversion_are_refused(weights: Weights) -> None:
    with weights.path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadModel, match="start again"):
        load_text_encoder(weights, "cpu", precision="fp32", backend="openvino")
    assert find_cached(weights, "text", "fp32") is None


def test_a_missing_tensor_is_named(tiny: Sample, tmp_path: Path, backend: str) -> None:
    import torch

    state = tiny.stock.state_dict()
    del state["bert.encoder.layer.1.output.dense.bias"]
    del state["visual.ln_post.bias"]
    torch.save(state, tmp_path / "model.pt")
    weights = find_weights(str(tmp_path / "model.pt"))
    with pytest.raises(BadModel, match=r"layer\.1\.output\.dense\.bias.*missing"):
        load_text_encoder(weights, "cpu", precision="fp32", backend=backend)
    with pytest.raises(BadModel, match=r"visual\.ln_post\.bias.*missing"):
        load_image_encoder(weights, "cpu", "fp32", backend)


@pytest.mark.usefixtures("converts_here")
@pytest.mark.parametrize(
    "precision",
    [
        "fp32",
        "bf16",
        pytest.param(
            "int8", marks=pytest.mark.skipif(not has_int8(), reason="the processor has no VNNI")
        ),
    ],
)
def test_equal_images_give_equal_bytes(weights: Weights, precision: str) -> None:
    """A resumed build must have the bytes of an uninterrupted one."""
    pixels = np.random.default_rng(1).integers(0, 256, (6, 64, 64, 3), np.uint8)
    first, second = (
        load_image_encoder(weights, "cpu", precision, "openvino").encode(pixels) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
