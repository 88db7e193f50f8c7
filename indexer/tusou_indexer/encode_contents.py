"""Encodes contents of live items again, as an index build of their bundle encodes its items."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tusou.bundle.item_reader import decode_stored_text
from tusou.bundle.manifest import Manifest
from tusou.core.arrays import Vectors
from tusou.encoders import (
    ModelWeights,
    Tower,
    open_image_model,
    open_text_model,
    resolve_model,
)
from tusou.images.preparation import Preparation
from tusou.images.preprocess import MAX_MEGAPIXELS, open_image, to_pixels
from tusou.images.views import Views
from tusou.retrieval.compatibility import find_bundle_weights


class ContentEncoder:
    """Encodes image files or texts with the model of a bundle, which is loaded at the first use."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @cached_property
    def weights(self) -> ModelWeights:
        """The bundle's weights; IncompatibleBundle when others are found in their place."""
        return find_bundle_weights(self._manifest)

    def encode(self, contents: Sequence[bytes]) -> Vectors:
        """Return the vectors of contents, (n, d); BadImage and BadDataset."""
        build = self._manifest.build
        tower: Tower = "text" if self._manifest.items == "texts" else "image"
        resolved = resolve_model(self.weights, tower, "auto", str(build.get("precision", "fp32")))
        if tower == "text":
            texts = open_text_model(resolved)  # without a prompt, which is for queries
            return texts.encode(texts.prepare([decode_stored_text(c, "raw") for c in contents]))
        images = open_image_model(resolved, Views.parse(self._manifest.views))
        steps = Preparation.parse(str(build.get("prepare", "none")))
        limit = int(build.get("max_megapixels", MAX_MEGAPIXELS))
        transform = images.transform
        return images.encode(
            np.stack([to_pixels(open_image(data, limit), transform, steps) for data in contents])
        )
