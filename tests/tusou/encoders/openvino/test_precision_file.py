"""Measured precisions are kept for each processor, beside the weights that were measured."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from tusou.encoders import Weights
from tusou.encoders.openvino.precision_file import (
    MeasuredPrecision,
    read_measured,
    write_measured,
)

pytest.importorskip("openvino")

_PROCESSOR = "tusou.encoders.openvino.precision_file.processor_name"


def measured(bf16: float, openvino: str | None = None) -> MeasuredPrecision:
    return MeasuredPrecision(
        openvino=openvino or version("openvino"),
        cores=2,
        fp32={"1 text": 10.0, "32 texts": 10.0},
        bf16={"1 text": bf16, "32 texts": bf16},
    )


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    (tmp_path / "model.pt.openvino").mkdir()
    return Weights(tmp_path / "model.pt", "model.pt", "a" * 64)


def file_of(weights: Weights) -> Path:
    (path,) = weights.path.with_name("model.pt.openvino").glob("text-auto-*.json")
    return path


@pytest.mark.parametrize(
    ("alone", "batch", "expected"),
    [
        pytest.param(5.0, 5.0, "bf16", id="faster"),
        pytest.param(10.0, 10.0, "fp32", id="equal"),
        pytest.param(9.5, 9.5, "fp32", id="gains-less-than-a-tenth"),
        pytest.param(5.0, 12.0, "bf16", id="gains-more-than-it-loses"),
        pytest.param(8.0, 12.5, "fp32", id="loses-what-it-gains"),
    ],
)
def test_bf16_is_taken_where_it_is_faster_by_a_tenth(
    alone: float, batch: float, expected: str
) -> None:
    times = {"1 text": alone, "32 texts": batch}
    found = MeasuredPrecision(
        openvino="1", cores=2, fp32={"1 text": 10.0, "32 texts": 10.0}, bf16=times
    )
    assert found.precision == expected
    assert f"{expected} (1 text {alone:.3g} ms in bf16, 10 ms in fp32; " in str(found)


def test_every_processor_has_its_own_measurement(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bf16 in (("Xeon (amx_bf16)", 4.0), ("EPYC (avx512_bf16)", 9.9)):
        monkeypatch.setattr(_PROCESSOR, lambda name=name: name)
        assert read_measured(weights, "text") is None
        write_measured(weights, "text", measured(bf16))
        assert read_measured(weights, "text") == measured(bf16)
    monkeypatch.setattr(_PROCESSOR, lambda: "Xeon (amx_bf16)")
    assert read_measured(weights, "text") == measured(4.0)
    assert read_measured(weights, "image") is read_measured(weights, "text", "0123abcd") is None


def test_another_openvino_measures_again(weights: Weights) -> None:
    write_measured(weights, "text", measured(4.0, openvino="2020.1"))
    assert read_measured(weights, "text") is None
    write_measured(weights, "text", measured(4.0))
    assert read_measured(weights, "text") == measured(4.0)


def test_other_weights_in_the_same_file_measure_again(weights: Weights) -> None:
    write_measured(weights, "text", measured(4.0))
    trained = Weights(weights.path, weights.name, "b" * 64)
    assert read_measured(trained, "text") is None
    write_measured(trained, "text", measured(9.9))
    assert read_measured(trained, "text") == measured(9.9)
    assert read_measured(weights, "text") is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"x": 1}', b'{"x": {"openvino": "1"}}'])
def test_a_damaged_file_is_logged_and_written_again(
    weights: Weights, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    write_measured(weights, "text", measured(4.0))
    file_of(weights).write_bytes(content)
    assert read_measured(weights, "text") is None
    assert "damaged" in caplog.text
    write_measured(weights, "text", measured(4.0))
    assert read_measured(weights, "text") == measured(4.0)


@pytest.mark.parametrize("bf16", [{}, {"1 text": 3.0}, {"1 text": 0.0, "32 texts": 1.0}])
def test_an_entry_with_missing_or_impossible_times_is_not_used(
    weights: Weights, bf16: dict[str, float]
) -> None:
    write_measured(weights, "text", measured(4.0))
    path = file_of(weights)
    ((name, entry),) = json.loads(path.read_bytes()).items()
    path.write_text(json.dumps({name: entry | {"bf16": bf16}}))
    assert read_measured(weights, "text") is None
