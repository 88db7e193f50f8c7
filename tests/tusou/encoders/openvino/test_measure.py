"""Measurement of fp32 and bf16, once for each processor, and what is left on the disk."""

import logging
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.tusou.encoders.conftest import Sample
from tusou.encoders import ResolvedEncoder, Tower, Weights, find_weights, resolve_encoder
from tusou.encoders.model_info import describe_model
from tusou.encoders.openvino.cache import find_cached
from tusou.encoders.openvino.precision_file import MeasuredPrecision, read_measured

pytest.importorskip("openvino")
measure = pytest.importorskip("tusou.encoders.openvino.measure")

pytestmark = pytest.mark.usefixtures("converts_here")


def measured(faster: str) -> MeasuredPrecision:
    times = {"fp32": {"1 text": 8.0}, "bf16": {"1 text": 8.0}} | {faster: {"1 text": 4.0}}
    return MeasuredPrecision(openvino=measure.version("openvino"), cores=2, **times)


@pytest.fixture
def weights(tiny: Sample, tmp_path: Path) -> Weights:
    shutil.copy(tiny.path, tmp_path / "model.pt")
    return find_weights(str(tmp_path / "model.pt"))


def by_rule(weights: Weights, tower: Tower = "text") -> ResolvedEncoder:
    """Return a tower as the rule chooses it for a processor with bf16."""
    return resolve_encoder(weights, tower, "cpu", "bf16", "openvino")


def cached_precisions(weights: Weights, tower: Tower = "text") -> set[str]:
    return {name for name in ("fp32", "bf16") if find_cached(weights, tower, name)}


@pytest.mark.parametrize(
    ("tower", "works"), [("text", ["1 text", "32 texts"]), ("image", [r"\d+ images?"])]
)
def test_a_tower_is_measured_once_in_a_process_of_its_own(
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tower: Tower,
    works: list[str],
) -> None:
    caplog.set_level(logging.INFO)
    found = measure.measure_precision(by_rule(weights, tower))
    assert len(found.fp32) == len(works)
    assert list(found.fp32) == list(found.bf16)
    assert all(0 < each < 60_000 for each in (*found.fp32.values(), *found.bf16.values()))
    assert f"auto is {found} for the {tower} tower of model.pt" in caplog.text
    assert cached_precisions(weights, tower) == {found.precision}
    monkeypatch.setattr(measure, "_run", None)
    assert measure.measure_precision(by_rule(weights, tower)) == found
    facts = describe_model(str(weights.path))
    assert facts.rows()[f"auto, {tower} tower"] == str(found)
    assert facts.as_json()["auto_precision"] == {
        tower: {"precision": found.precision, **found.model_dump()}
    }


@pytest.mark.parametrize("faster", ["fp32", "bf16"])
def test_only_a_tower_that_nobody_had_converted_is_deleted(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    monkeypatch.setattr(measure, "_run", lambda _: measured(faster))
    assert measure.measure_precision(by_rule(weights)).precision == faster
    assert cached_precisions(weights) == {faster}
    shutil.rmtree(weights.path.with_name("model.pt.openvino"))
    measure.convert_to_cache(resolve_encoder(weights, "text", "cpu", "fp32", "openvino"))
    measure.measure_precision(by_rule(weights))
    assert cached_precisions(weights) == {"fp32", faster}


@pytest.mark.parametrize(
    ("code", "output"), [(1, b""), (-9, b""), (0, b""), (0, b'{"openvino": "1", "cores": 2}')]
)
def test_a_failed_measurement_keeps_to_the_rule(
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    output: bytes,
) -> None:
    ended = subprocess.CompletedProcess([], code, output)
    monkeypatch.setattr("tusou.encoders.openvino.measure.subprocess.run", lambda *_, **__: ended)
    assert measure.measure_precision(by_rule(weights)) is None
    assert "the measurement failed: auto is bf16" in caplog.text
    assert read_measured(weights, "text") is None


def test_nothing_is_measured_that_cannot_be_kept(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_run", None)
    weights.path.with_name("model.pt.openvino").write_text("a file in the way")
    assert measure.measure_precision(by_rule(weights)) is None
    monkeypatch.setattr("tusou.encoders.openvino.cache.os.access", lambda *_: False)
    assert measure.measure_precision(by_rule(weights)) is None


def test_nothing_is_measured_without_the_memory_for_it(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(measure, "_run", None)
    monkeypatch.setattr(measure, "available_memory", lambda: 1000)
    assert measure.measure_precision(by_rule(weights)) is None
    assert "too little memory" in caplog.text
    assert not cached_precisions(weights)


def test_processes_that_start_together_measure_once(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def run(_: ResolvedEncoder) -> MeasuredPrecision:
        calls.append("measured")
        return measured("bf16" if len(calls) == 1 else "fp32")

    monkeypatch.setattr(measure, "_run", run)
    chosen: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: chosen.append(measure.measure_precision(by_rule(weights)).precision)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (calls, chosen) == (["measured"], ["bf16"] * 3)
