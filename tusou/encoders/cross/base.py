"""Interface of trained cross-encoders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Pixels
from tusou.core.lazy_import import LazyImport
from tusou.encoders.base import Weights
from tusou.encoders.cross.shape import CrossShape
from tusou.images.transform import ImageTransform

# (n, tokens * width): the tokens of an item, as the cross-encoder takes them, in one row.
TokenRows: TypeAlias = npt.NDArray[np.float16]

_SCORER = LazyImport("tusou.encoders.cross.scorer:CrossScorer")  # imports torch


class CrossEncoder(Protocol):
    """Scores images for a text by their tokens. Call it from one thread at a time."""

    @property
    def shape(self) -> CrossShape: ...

    @property
    def transform(self) -> ImageTransform:
        """The transform that `to_pixels` makes the images of `encode_images` with."""
        ...

    @property
    def round_size(self) -> int:
        """The number of candidates that are scored in about the time of one pass."""
        ...

    def encode_text(self, text: str) -> Any:
        """Return the tokens of a text, for `score`."""
        ...

    def encode_images(self, pixels: Pixels) -> TokenRows:
        """Return the tokens of images made by `to_pixels`; the first call loads the image tower."""
        ...

    def score(
        self,
        text: Any,
        rows: TokenRows,
        cosines: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return how probably each image fits the text, (n,) in 0..1.

        Takes the text from `encode_text`, the images from `encode_images`, and their cosines (n,).
        """
        ...


def open_cross_encoder(path: Path, models: Sequence[Weights], device: str) -> CrossEncoder:
    """Open the file of a cross-encoder over the towers of one of several models.

    Raises BadModel for another file.
    """
    return cast("CrossEncoder", cast("Any", _SCORER.load())(path, models, device))
