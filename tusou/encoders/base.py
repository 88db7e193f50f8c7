"""Protocols of text and image encoders, and the values they take."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tusou.bundle.model_record import ModelSource
from tusou.core.arrays import Pixels, Vectors
from tusou.encoders.checkpoint_file import CheckpointFile
from tusou.encoders.model_folder import ModelFolder
from tusou.images.transform import Transforms

CONTEXT = 52  # tokens a text may have, [CLS] and [SEP] included


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's weights on this machine, a checkpoint file or a folder, and their digest."""

    path: Path
    name: str  # as the manifest records it: a published name, "demo", a hub's id or the file's name
    digest: str  # SHA-256 in hex: of the file, or of the names and digests of a folder's files
    source: ModelSource | None = None  # the hub that they were downloaded from
    # Kept open, if it is a file.
    file: CheckpointFile | ModelFolder | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised batch of texts; plain arrays, so it can be sent to another process.

    Token 0 is padding, and nothing else. Where a model's own vocabulary uses 0 for a token, its
    ids are counted from 1 here.
    """

    ids: npt.NDArray[np.int64]  # (n, width), padded with 0 to the longest text of the batch
    truncated: tuple[bool, ...]  # whether a text was cut to the model's context


class TextEncoder(Protocol):
    """Texts to unit vectors in two stages: `prepare` on any CPU, `encode` on the device.

    Any string is accepted, and a text's vector does not depend on the other texts of the batch
    beyond rounding. Call `encode` from one thread at a time; `prepare` may run beside it.
    """

    dim: int
    backend: str  # torch, openvino, or the library of another family: transformers or open_clip
    precision: str  # fp32, bf16, fp16 or int8

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""

    def warm_up(self) -> None:
        """Compile or record in advance what would make the first calls slow."""

    def encode(self, tokens: Tokens) -> Vectors:
        """Return one unit row per text: (n, dim) float32, C-contiguous."""


class ImageEncoder(Protocol):
    """Images to unit vectors in the same space as the texts of the same weights."""

    dim: int
    precision: str

    @property
    def transform(self) -> Transforms:
        """The transform that `images.preprocess.to_pixels` makes the images with."""

    def encode(self, pixels: Pixels) -> Vectors:
        """Return one unit row per image made by `to_pixels`: (n, dim) float32."""
