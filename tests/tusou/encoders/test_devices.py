"""Choice of the default precision by the instructions of the processor."""

import pytest

from tusou.core.errors import InvalidRequest
from tusou.encoders.devices import pick_precision

CPU, CUDA = "cpu", "cuda"


def with_features(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr("tusou.encoders.devices.cpu_features", lambda: frozenset({"avx2", *names}))


@pytest.mark.parametrize(
    ("features", "gains", "expected"),
    [
        pytest.param(("amx_bf16",), True, "bf16", id="amx"),
        pytest.param(("avx512_bf16",), True, "bf16", id="avx512"),
        pytest.param(("avx512_f",), True, "fp32", id="only-emulated"),
        pytest.param((), True, "fp32", id="neither"),
        pytest.param(("amx_bf16",), False, "fp32", id="small-tower"),
    ],
)
def test_auto_is_the_fastest_precision_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], gains: bool, expected: str
) -> None:
    with_features(monkeypatch, *features)
    assert pick_precision("auto", CPU, gains_from_bf16=gains) == expected


def test_auto_on_a_gpu_is_half_precision() -> None:
    assert pick_precision("auto", CUDA, gains_from_bf16=False) == "fp16"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_requested_precision_is_used(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    with_features(monkeypatch)
    assert pick_precision(precision, CPU, gains_from_bf16=False) == precision


@pytest.mark.parametrize("precision", ["int8", "int8-calibrated", f"int8-calibrated:{'0a' * 8}"])
def test_int8_needs_a_processor_with_vnni(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    with_features(monkeypatch, "avx512_f")
    for device in (CPU, CUDA):
        with pytest.raises(InvalidRequest, match="VNNI"):
            pick_precision(precision, device, gains_from_bf16=True)
    monkeypatch.setattr("tusou.encoders.devices.has_int8", lambda: True)
    assert pick_precision(precision, CPU, gains_from_bf16=True) == precision


@pytest.mark.parametrize("precision", ["int4", "", "int8-calibrated:", "int8-calibrated:../../x"])
def test_an_unknown_precision_is_refused(precision: str) -> None:
    with pytest.raises(InvalidRequest, match="No precision"):
        pick_precision(precision, CPU, gains_from_bf16=True)
