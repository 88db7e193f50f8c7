"""Products of 8-bit integers, for processors that multiply them twice as fast as bf16."""

import torch
from torch import Tensor

from tusou.encoders.torch.layers import ACTIVATE, Activation

_MOST, _SHIFT = 127, 128  # the largest byte that has its negative; from signed to unsigned
_TINY = 1e-12  # no row is divided by zero
# As tensors, for torch would make some of numbers at every call.
_LEAST_STEP, _FIRST_BIT = torch.tensor(_TINY), torch.tensor(-_SHIFT, dtype=torch.int8)

# Not public, and without a public equal: the products that torch's own compiler generates.
_ONEDNN = torch.ops.onednn


class Int8Product:
    """A product by oneDNN, float32 in and out: weights have a scale an output, inputs one a row.

    Inputs are quantised as they come: nothing has to be calibrated, and a row does not depend on
    its neighbours. They are shifted to unsigned bytes, which is what the processor multiplies by
    signed ones; signed inputs would run in oneDNN's reference code, a thousand times slower. What
    the shift adds is known beforehand.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation = "none") -> None:
        scale = (weight.abs().amax(1) / _MOST).clamp_(min=_TINY)
        whole = (weight / scale[:, None]).round_().to(torch.int8)
        self._weight = _ONEDNN.qlinear_prepack(whole, None)
        self._scale, self._bias = scale, bias
        self._shift = -_SHIFT * whole.sum(1) * scale
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._activate = ACTIVATE[activation]

    def __call__(self, rows: Tensor) -> Tensor:
        """Quantise the rows, multiply, and scale back."""
        flat = rows.float().flatten(0, -2)
        # Not by a norm: torch's infinity norm is twenty times slower.
        steps = torch.add(_LEAST_STEP, flat.abs().amax(1, keepdim=True), alpha=1 / _MOST)
        # To signed bytes and their first bit turned: four times faster than to unsigned ones.
        whole = (flat / steps).round_().to(torch.int8).bitwise_xor_(_FIRST_BIT).view(torch.uint8)
        found: Tensor = _ONEDNN.qlinear_pointwise(
            whole, 1.0, 0, self._weight, self._scale, self._zeros, self._shift,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        found = torch.addcmul(self._bias, found, steps).reshape(*rows.shape[:-1], -1)
        return self._activate(found) if self._activate else found
