"""The default precision is what the processor multiplies fastest, where the tower gains."""

import pytest

from tusou.core.errors import InvalidRequest
from tusou.encoders.devices import pick_precision

CPU, CUDA = "cpu", "cuda"


def with_features(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr("tusou.encoders.devices.cpu_features", lambda: frozenset({"avx2", *names}))


@pytest.mark.parametrize(
    ("features", "gains", "chosen"),
    [
        pytest.param(("amx_bf16",), True, "bf16", id="amx"),
        pytest.param(("avx512_bf16",), True, "bf16", id="avx512"),
        pytest.param(("avx512_f",), True, "fp32", id="only-emulated"),
        pytest.param((), True, "fp32", id="neither"),
        pytest.param(("amx_bf16",), False, "fp32", id="small-tower"),
    ],
)
def test_a_processor_gets_what_it_is_fast_at(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], gains: bool, chosen: str
) -> None:
    with_features(monkeypatch, *features)
    assert pick_precision("auto", CPU, gains_from_bf16=gains) == chosen


def test_a_gpu_gets_half_precision() -> None:
    assert pick_precision("auto", CUDA, gains_from_bf16=False) == "fp16"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_used(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    with_features(monkeypatch)
    assert pick_precision(precision, CPU, gains_from_bf16=False) == precision


def test_integers_need_instructions_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with_features(monkeypatch, "avx512_f")
    for device in (CPU, CUDA):
        with pytest.raises(InvalidRequest, match="VNNI"):
            pick_precision("int8", device, gains_from_bf16=True)
