"""What an encoder promises, whichever model is behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import OnDevice, Pixels, Vectors


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file, found and fingerprinted."""

    path: Path
    name: str  # as the manifest records it: a published name, "demo" or the file's name
    digest: str  # SHA-256 of the file, in hex


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prepared batch of texts; plain arrays, so it can cross a process border."""

    ids: npt.NDArray[np.int64]  # (n, width), padded with 0 to the longest text of the batch
    truncated: tuple[bool, ...]  # whether a text was cut to the model's context


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What passes and the work behind them made, brought to the host together."""

    vectors: Vectors  # (n, dim), unit rows
    beside: npt.NDArray[np.int32]  # (n, columns), what the work made of each
    seconds: float  # that the device spent behind the passes, on the work and the copies back


class Passes(Protocol):
    """Passes on a device that other work there can follow before the host has their vectors."""

    device: str  # such as cuda:0
    room: int  # how many columns `encode_and` can bring back

    def encode_and(
        self,
        ids: npt.NDArray[np.int64],
        work: Callable[[OnDevice], OnDevice],
        columns: int,
    ) -> Followed:
        """Encode ids as of `Tokens`, and bring back what `work` makes with the vectors.

        `work` is called once a pass with (n, dim) float32 on the device, and gives (n, columns)
        int32 there without waiting for it. What it is given is overwritten by the next pass.
        """
        ...


class TextEncoder(Protocol):
    """Texts to unit vectors, in two stages: `prepare` on any CPU, `encode` on the device.

    Any string is accepted, and a text's vector does not depend on its neighbours in the batch
    beyond rounding. One `encode` at a time; `prepare` may run beside it.
    """

    dim: int
    backend: str  # torch or openvino
    precision: str  # fp32, bf16, fp16 or int8

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        ...

    def warm_up(self) -> None:
        """Do now what would make the first calls slow."""
        ...

    def encode(self, tokens: Tokens) -> Vectors:
        """Return one unit row per text: (n, dim) float32, C-contiguous."""
        ...

    @property
    def passes(self) -> Passes | None:
        """Give the passes that other work can follow; None when vectors just come to the host."""
        ...


class ImageEncoder(Protocol):
    """Images to unit vectors in the same space as the texts of the same weights."""

    dim: int
    precision: str
    image_size: int

    def encode(self, pixels: Pixels) -> Vectors:
        """Return one unit row per (image_size, image_size, 3) image: (n, dim) float32."""
        ...
