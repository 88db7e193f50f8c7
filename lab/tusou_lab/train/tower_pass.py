"""The forward pass of a tower over a batch, whole or in chunks whose gradients come later.

In chunks, a batch takes the memory of one chunk: its vectors are computed without gradients, and
once the gradient of each vector is known, each chunk is computed again with them (L. Gao et al.,
Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import normalize

# Returns vectors (n, d) of any length for n rows of pixels or tokens.
EncodeRows: TypeAlias = Callable[[Tensor], Tensor]


class TowerPass:
    """The unit vectors (n, d) of a batch in float32, and the backward pass from their gradients."""

    def __init__(
        self,
        encode: EncodeRows,
        rows: Tensor,
        chunk: int,
        precision: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Encode rows, `chunk` at once; 0, or as many as there are rows: all of them."""
        self._encode, self._rows, self._precision = encode, rows, precision
        self._chunk = chunk if 0 < chunk < len(rows) else 0
        self._random: list[_RandomState] = []
        self._vectors: Tensor | None = None
        if self._chunk:
            self.vectors = torch.cat([self._encode_without_gradients(part) for part in self._parts])
        else:
            self._vectors = self._unit_vectors(rows)
            self.vectors = self._vectors.detach()

    def backward(self, gradients: Tensor) -> None:
        """Add the gradients of the tower's parameters, from those (n, d) of the vectors."""
        if self._vectors is not None:
            if self._vectors.requires_grad:
                torch.autograd.backward(self._vectors, gradients)
            return
        parts = zip(self._parts, torch.split(gradients, self._chunk), self._random, strict=True)
        after = _RandomState(self._rows.device)
        for part, gradient, random in parts:
            random.restore()  # the same dropout as in the pass without gradients
            vectors = self._unit_vectors(part)
            if not vectors.requires_grad:  # a frozen tower
                break
            torch.autograd.backward(vectors, gradient)
        after.restore()

    @property
    def _parts(self) -> Iterator[Tensor]:
        return iter(torch.split(self._rows, self._chunk))

    def _encode_without_gradients(self, part: Tensor) -> Tensor:
        self._random.append(_RandomState(part.device))
        with torch.no_grad():
            return self._unit_vectors(part)

    def _unit_vectors(self, part: Tensor) -> Tensor:
        with self._precision():
            vectors = self._encode(part)
        return normalize(vectors.float())


class _RandomState:
    """The state of the random numbers that dropout draws from."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Go back to this state."""
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
