"""Linear layers and attention against double precision."""

import pytest
import torch
from torch.nn import functional

from tusou.encoders.torch import layers
from tusou.encoders.torch.layers import Activation, attend, linear_layer

EXACT = {"none": lambda rows: rows, "gelu": functional.gelu, "swish": functional.silu}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("activation", EXACT)
def test_linear_layers_agree_with_double_precision(
    activation: Activation, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packed:
        monkeypatch.setattr(layers, "is_x86", lambda: False)
    generator = torch.Generator().manual_seed(1)
    weight, bias = (torch.randn(*shape, generator=generator) for shape in ((96, 64), (96,)))
    compute = linear_layer(weight, bias, activation)
    assert (type(compute).__name__ == "_PackedLinear") == (
        packed and layers._can_pack(weight.dtype)
    )
    for shape in ((1, 64), (5, 64), (200, 64), (2, 7, 64)):
        rows = torch.randn(*shape, generator=generator)
        exact = EXACT[activation](functional.linear(rows.double(), weight.double(), bias.double()))
        torch.testing.assert_close(compute(rows).double(), exact, rtol=1e-5, atol=1e-5)


def test_attention_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(3, n, 8, generator=generator) for n in (2, 5, 5))
    mixed = attend(query, key, value, heads=2)
    for text in range(3):
        for head in (slice(0, 4), slice(4, 8)):
            scores = query[text, :, head] @ key[text, :, head].T / 2  # the root of 4
            expected = torch.softmax(scores, dim=1) @ value[text, :, head]
            torch.testing.assert_close(mixed[text, :, head], expected)


def test_cudnn_attention_is_disabled_on_a_gpu() -> None:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(enabled=True)
        layers.avoid_cudnn_attention(torch.device("cpu"))
        assert torch.backends.cuda.cudnn_sdp_enabled()
        layers.avoid_cudnn_attention(torch.device("cuda"))
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(enabled=before)
