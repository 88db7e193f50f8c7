"""Classification of texts and images over prototypes of items, with an angular margin (ArcFace)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from tusou_lab.train.losses.base import BatchTargets
from tusou_lab.train.models import Features

_NEAR_ONE = 1 - 1e-6  # the derivative of the angle is infinite at a cosine of 1


class ArcFaceLoss(nn.Module):
    """Finds the item of each text and of each image among the prototypes of all items.

    The angle to the right prototype counts as larger by the margin, so texts and images of an item
    come closer to it than the softmax alone asks for. Other items that are correct for a text do
    not count against it. The scale is that of the model, which this loss does not train: a smaller
    scale would be the easiest way to pay for the margin.
    """

    def __init__(
        self,
        items: NDArray[np.int64],
        correct: Sequence[NDArray[np.int64]],
        dim: int,
        margin: float,
    ) -> None:
        """Take the item of each image, the correct images of each query, and the vectors' length.

        The prototypes begin as zeros: `start` sets them before the first step.
        """
        super().__init__()
        self.margin = margin
        self.prototypes = nn.Parameter(torch.zeros(int(items.max()) + 1, dim))
        self.register_buffer("is_started", torch.zeros((), dtype=torch.bool))
        known = [np.unique(items[images]) for images in correct]
        ends = np.cumsum([0, *map(len, known)])
        # Derived from the data, and so not part of the state.
        for name, values in (
            ("items", items), ("correct_items", np.concatenate(known)), ("ends", ends)
        ):  # fmt: skip
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def start(self, vectors: Tensor) -> None:
        """Set each prototype to the mean vector of its item's images; `vectors` is (images, d)."""
        with torch.no_grad():
            self.prototypes.zero_().index_add_(0, self.get_buffer("items"), normalize(vectors))
            self.prototypes.copy_(normalize(self.prototypes))
            self.get_buffer("is_started").fill_(True)  # noqa: FBT003

    @property
    def needs_start(self) -> bool:
        """True while the prototypes are zeros."""
        return not self.get_buffer("is_started")

    def forward(self, features: Features, targets: BatchTargets) -> Tensor:
        """Return the mean of the cross entropies of texts and of images."""
        prototypes = normalize(self.prototypes)
        scale = features.scale.detach()
        of_images = self.get_buffer("items")[targets.images]
        of_texts = of_images[: len(targets.queries)]
        by_text = self._logits(features.texts, prototypes, of_texts, scale)
        rows, items = self._other_correct(targets.queries, of_texts)
        by_text = by_text.index_put((rows, items), by_text.new_tensor(-torch.inf))
        by_image = self._logits(features.images, prototypes, of_images, scale)
        return (cross_entropy(by_text, of_texts) + cross_entropy(by_image, of_images)) / 2

    def _logits(self, vectors: Tensor, prototypes: Tensor, items: Tensor, scale: Tensor) -> Tensor:
        """Return the scaled cosines (n, items), that of the right item with the margin."""
        cosines = vectors.float() @ prototypes.t()
        rows = torch.arange(len(items), device=items.device)
        right = cosines[rows, items].clamp(-_NEAR_ONE, _NEAR_ONE)
        angle = right.acos() + self.margin
        # Beyond half a turn the cosine would rise again: go on in a straight line.
        with_margin = torch.where(angle < torch.pi, angle.cos(), -1 - (angle - torch.pi))
        return scale * cosines.index_put((rows, items), with_margin)

    def _other_correct(self, queries: Tensor, of_texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of texts and the items that are correct for them beside their own."""
        ends, correct_items = self.get_buffer("ends"), self.get_buffer("correct_items")
        counts = ends[queries + 1] - ends[queries]
        rows = torch.repeat_interleave(torch.arange(len(queries), device=queries.device), counts)
        first = ends[queries] - (counts.cumsum(0) - counts)
        items = correct_items[torch.arange(len(rows), device=rows.device) + first[rows]]
        others = items != of_texts[rows]
        return rows[others], items[others]
