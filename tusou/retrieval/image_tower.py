"""The image tower of a bundle's model, loaded when it is first needed."""

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Pixels
from tusou.core.errors import IncompatibleBundle, NotReady
from tusou.core.memory_budget import check_memory
from tusou.encoders import ImageEncoder, ModelWeights, open_image_model, resolve_model
from tusou.images.transform import pixel_shape
from tusou.images.views import Views
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.query import VectorPart
from tusou.retrieval.query_cache import check_finite


class LazyImageTower:
    """Encodes images as the images of a bundle were encoded, or would be, views included."""

    def __init__(
        self, bundle: Bundle, weights: ModelWeights | None, device: str, options: tuple[str, str]
    ) -> None:
        """`options` are the requested precision and backend; `load` needs the weights."""
        self._bundle, self._weights = bundle, weights
        self._device, self._options = device, options
        self._encoder: ImageEncoder | None = None

    @property
    def loaded(self) -> bool:
        """Return whether `encode` can be called."""
        return self._encoder is not None

    def load(self) -> None:
        """Load the image encoder.

        Raises IncompatibleBundle when the weights' file has changed, and InsufficientMemory when
        the tower certainly does not fit.
        """
        manifest = self._bundle.manifest
        model, views = manifest.model, Views.parse(manifest.views)
        assert self._weights is not None
        weights = find_bundle_weights(manifest, self._weights.locations)
        resolved = resolve_model(weights, "image", self._device, *self._options)
        check_memory(resolved.min_memory)
        encoder = open_image_model(resolved, views)
        if (encoder.dim, encoder.transform) != (model.dim, manifest.transform):
            raise IncompatibleBundle(
                f"{self._bundle.folder}: the image tower does not have the manifest's shape; "
                "index again"
            )
        blank = np.zeros((1, *pixel_shape(encoder.transform)), np.uint8)
        encoder.encode(blank)  # the first pass is slow
        self._encoder = encoder

    def encode(self, pixels: Pixels) -> list[VectorPart]:
        """Encode images made by `to_pixels`, of `pixel_shape`; NotReady before `load`."""
        if self._encoder is None:
            raise NotReady("the image tower is not loaded; send the image again")
        vectors = check_finite(self._encoder.encode(pixels))
        return [VectorPart(vector, self._bundle.manifest.model.sha256) for vector in vectors]
