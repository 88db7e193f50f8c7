"""Products of 8-bit integers: near the exact ones, whatever the rows' size and neighbours."""

import pytest
import torch
from torch.nn import functional

from tusou.encoders.devices import has_int8
from tusou.encoders.torch.int8 import Int8Product
from tusou.encoders.torch.layers import Activation

EXACT = {"none": lambda rows: rows, "gelu": functional.gelu, "swish": functional.silu}

pytestmark = pytest.mark.skipif(not has_int8(), reason="the processor has no VNNI")


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("activation", EXACT)
def test_agrees_with_the_product_of_the_rounded_numbers(activation: Activation) -> None:
    """Rounded to 255 steps by hand, and multiplied in double precision."""
    weight, bias = drawn(96, 64), drawn(96)
    compute = Int8Product(weight, bias, activation)

    def rounded(rows: torch.Tensor) -> torch.Tensor:
        steps = rows.abs().amax(-1, keepdim=True) / 127
        return (rows / steps).round().double() * steps.double()

    for shape in ((1, 64), (5, 64), (200, 64), (2, 7, 64)):
        rows = drawn(*shape)
        found = compute(rows)
        product = functional.linear(rounded(rows), rounded(weight), bias.double())
        torch.testing.assert_close(found.double(), EXACT[activation](product), rtol=1e-4, atol=1e-4)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    compute, rows = Int8Product(drawn(96, 64), drawn(96)), drawn(3, 64)
    rows[1] *= 1000
    torch.testing.assert_close(compute(rows)[0], compute(rows[:1])[0], rtol=0, atol=0)


def test_rows_and_weights_of_zeros_give_the_bias() -> None:
    bias = drawn(96)
    for weight, rows in ((drawn(96, 64), torch.zeros(2, 64)), (torch.zeros(96, 64), drawn(2, 64))):
        torch.testing.assert_close(Int8Product(weight, bias)(rows), bias.expand(2, -1))


def test_the_largest_numbers_do_not_overflow() -> None:
    """Without VNNI's wide sums, pairs of 255 x 127 would."""
    weight, rows = torch.full((32, 64), 3.0), torch.full((1, 64), 5.0)
    found = Int8Product(weight, torch.zeros(32))(rows)
    torch.testing.assert_close(found, torch.full((1, 32), 960.0))
