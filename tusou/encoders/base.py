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
    # SHA-256 in hex: of the file, or of the names and digests of a folder's files; the name of an
    # architecture in `open_clip` is part of what is hashed, and what configures its text tower.
    digest: str
    source: ModelSource | None = None  # the hub that they were downloaded from
    open_clip: str | None = None  # of a checkpoint of open_clip: its architecture, by its name
    # The name by which `find_weights` finds them again, from any folder.
    location: str = field(default="", compare=False)
    # Kept open, if it is a file.
    file: CheckpointFile | ModelFolder | None = field(default=None, compare=False, repr=False)

    def check_in_place(self) -> None:
        """Raise BadModel if the files of these names are no longer the ones that were opened.

        Call it after a library has read them by their names.
        """
        if self.file is not None:
            self.file.check_unchanged(in_place=True)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised batch of texts; plain arrays, so it can be sent to another process.

    Token 0 is padding, and nothing else. Where a model's own vocabulary uses 0 for a token, its
    ids are counted from 1 here.
    """

    ids: npt.NDArray[np.int64]  # (n, width), padded with 0 to the longest text of the batch
    truncated: tuple[bool, ...]  # whether a text was cut to the model's context
    # Columns of each part of the rows, if several tokenizers made them; () for a single part.
    widths: tuple[int, ...] = ()

    @property
    def parts(self) -> "tuple[Tokens, ...]":
        """The tokens of each tokenizer."""
        if not self.widths:
            return (self,)
        columns = np.split(self.ids, np.cumsum(self.widths[:-1]), axis=1)
        return tuple(Tokens(ids, self.truncated) for ids in columns)

    def take(self, rows: Sequence[int]) -> "Tokens":
        """Return some of the texts."""
        truncated = tuple(self.truncated[row] for row in rows)
        return Tokens(self.ids[rows], truncated, self.widths)

    def keys(self) -> list[bytes]:
        """Return a key for each text: equal tokens have equal keys, whatever their padding."""
        rows = zip(*(part.ids for part in self.parts), strict=True)
        # An id takes 8 bytes and is not 0, so the separator cannot be part of one.
        return [bytes(8).join(part[part != 0].tobytes() for part in row) for row in rows]


def join_tokens(parts: Sequence[Tokens]) -> Tokens:
    """Return the tokens of the same texts by several tokenizers, side by side.

    A text is truncated if one of them truncated it.
    """
    if len(parts) == 1:
        return parts[0]
    truncated = tuple(map(any, zip(*(part.truncated for part in parts), strict=True)))
    widths = tuple(part.ids.shape[1] for part in parts)
    return Tokens(np.concatenate([part.ids for part in parts], axis=1), truncated, widths)


class Tokenizer(Protocol):
    """The tokenizer of a text tower; thread-safe."""

    vocab_size: int  # ids are below it
    context: int  # tokens a text may have, start and end included

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch of any strings; texts that are too long are cut."""

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that the vocabulary has no piece for."""


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

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that the model's vocabulary has no piece for.

        It is near 1 in a language that the text tower does not know, whatever its vectors say.
        """

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
