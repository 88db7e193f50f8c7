"""Calibration by nncf in a process of its own."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.tusou.encoders.conftest import Sample
from tusou.core.arrays import Pixels
from tusou.core.errors import BadModel, InvalidRequest, MissingDependency
from tusou.encoders import ResolvedEncoder, Weights, find_weights, load_image_encoder
from tusou.encoders.openvino.cache import find_cached
from tusou.encoders.select_backend import resolve_encoder

pytest.importorskip("openvino")
calibration = pytest.importorskip("tusou.encoders.openvino.calibrate")

needs_nncf = pytest.mark.skipif(
    calibration.find_spec("nncf") is None, reason="nncf is not installed"
)
pytestmark = pytest.mark.usefixtures("converts_here")


@pytest.fixture(autouse=True)
def with_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.encoders.devices.has_int8", lambda: True)


@pytest.fixture
def weights(tiny: Sample, tmp_path: Path) -> Weights:
    shutil.copy(tiny.path, tmp_path / "model.pt")
    return find_weights(str(tmp_path / "model.pt"))


def fp32(weights: Weights) -> ResolvedEncoder:
    return resolve_encoder(weights, "image", "cpu", "fp32", "openvino")


def images(count: int, side: int, seed: int) -> Pixels:
    """Draw images of coarse coloured squares, (count, side, side, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return coarse.repeat(side // 8, 1).repeat(side // 8, 2)


@pytest.mark.services
@needs_nncf
def test_a_tower_is_calibrated_once_and_its_vectors_are_near_those_of_fp32(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = fp32(weights)
    side = resolved.transform.side
    sample, others = images(24, side, 1), images(10, side, 2)
    precision = calibration.calibrate(resolved, sample)
    encoder = load_image_encoder(weights, "cpu", precision)
    assert encoder.precision == precision
    vectors = encoder.encode(others)
    alone = np.concatenate([encoder.encode(others[row : row + 1]) for row in range(len(others))])
    np.testing.assert_array_equal(vectors, alone)
    exact = load_image_encoder(weights, "cpu", "fp32", "torch").encode(others)
    cosines = (vectors * exact).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.max() < 1 - 1e-6  # it is not the graph of fp32
    assert find_cached(weights, "image", "fp32") is None  # made for the calibration alone
    monkeypatch.setattr(calibration, "_run", None)
    assert calibration.calibrate(resolved, sample) == precision


def test_without_nncf_the_extra_is_named(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"int8-calibrated.*install tusou\[nncf\]"):
        calibration.calibrate(fp32(weights), images(2, 64, 1))


@needs_nncf
def test_a_folder_that_cannot_be_written_is_named(weights: Weights) -> None:
    resolved = fp32(weights)
    weights.path.with_name("model.pt.openvino").write_text("a file in the way")
    with pytest.raises(InvalidRequest, match="where nothing can be written"):
        calibration.calibrate(resolved, images(2, 64, 1))


def test_a_calibration_that_fails_keeps_nothing(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "Traceback ...\nRuntimeError: no memory\n")

    resolved = fp32(weights)
    assert calibration.convert_to_cache(resolved) is not None
    monkeypatch.setattr(calibration, "require_nncf", lambda: None)
    monkeypatch.setattr(calibration, "version", lambda _: "1")
    monkeypatch.setattr("tusou.encoders.openvino.calibrate.subprocess.run", run)
    with pytest.raises(BadModel, match=r"could not calibrate .* \(RuntimeError: no memory\)"):
        calibration.calibrate(resolved, images(2, 64, 1))
    assert not list(weights.path.with_name("model.pt.openvino").glob("*calibrated*"))
