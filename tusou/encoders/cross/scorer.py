"""Scores of a text and images by a trained cross-encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tusou.core.arrays import Pixels
from tusou.encoders.base import Weights
from tusou.encoders.cross.base import TokenRows
from tusou.encoders.cross.checkpoint import read_cross
from tusou.encoders.cross.shape import CrossShape
from tusou.encoders.cross.towers import ImageTokens, TextTokens, half
from tusou.encoders.devices import pick_device
from tusou.encoders.select_backend import image_transform
from tusou.encoders.torch.cpu_threads import CpuThreads, on_one_core

_PASS = 8  # candidates that one core scores at once


class CrossScorer:
    """A cross-encoder with its text tower; the image tower is loaded when it is first needed.

    Call it from one thread at a time.
    """

    def __init__(self, path: Path, models: Sequence[Weights], device: str = "auto") -> None:
        """Open the file of a cross-encoder over the towers of one of `models`.

        Raises BadModel for a file that is none, or belongs to other towers.
        """
        checkpoint = read_cross(path, [weights.digest for weights in models])
        (weights, *_) = (each for each in models if each.digest == checkpoint.towers)
        self._weights, self._device = weights, pick_device(device)
        self.transform = image_transform(weights)
        self._network = checkpoint.network.to(self._device)
        with on_one_core():
            self._texts = TextTokens(weights, self._device)
        self._images: ImageTokens | None = None
        self._threads = CpuThreads(torch.device(self._device), heavy=False)

    @property
    def shape(self) -> CrossShape:
        return self._network.shape

    @property
    def round_size(self) -> int:
        """The number of candidates that are scored in about the time of one pass."""
        return _PASS * self._threads.count

    def encode_text(self, text: str) -> Tensor:
        """Return the projected tokens of a text, for `score`."""
        encoded: list[Tensor] = []

        @torch.inference_mode()
        def run_pass(text: str) -> None:
            (tokens,) = self._texts.encode([text])
            encoded.append(self._network.project_text(tokens[None]))

        self._threads.run(run_pass, [text])
        return encoded[0]

    def encode_images(self, pixels: Pixels) -> TokenRows:
        """Return the projected tokens of images made by `to_pixels`; loads the image tower."""
        if self._images is None:
            with on_one_core():
                self._images = ImageTokens(self._weights, self.shape.pool, self._device)
        images = self._images
        rows = np.empty((len(pixels), self.shape.numbers_per_item), np.float16)

        @torch.inference_mode()
        def run_pass(part: slice) -> None:
            projected = self._network.project_images(images.encode(pixels[part]))
            rows[part] = half(projected.flatten(1))

        self._threads.run(run_pass, _slices(len(pixels), _PASS))
        return rows

    def score(
        self, text: Tensor, rows: TokenRows, cosines: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return how probably each image fits the text, (n,) in 0..1.

        Takes the text from `encode_text`, the images from `encode_images`, and their cosines (n,).
        """
        scores = np.empty(len(rows), np.float32)
        shape = self.shape

        @torch.inference_mode()
        def run_pass(part: slice) -> None:
            tokens = torch.from_numpy(rows[part]).to(self._device).float()
            images = tokens.reshape(1, -1, shape.image_tokens, shape.width)
            given = torch.from_numpy(np.ascontiguousarray(cosines[part])).to(self._device)[None]
            scores[part] = self._network(text, images, given)[0].sigmoid().cpu().numpy()

        size = max(1, min(_PASS, -(-len(rows) // self._threads.count)))
        self._threads.run(run_pass, _slices(len(rows), size))
        return scores


def _slices(count: int, size: int) -> Sequence[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
