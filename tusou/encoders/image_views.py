"""An image encoder that averages the vectors of several views of an image."""

from tusou.core.arrays import Pixels, Vectors
from tusou.core.unit_vectors import mean_of_units
from tusou.encoders.base import ImageEncoder
from tusou.images.views import Views


class ViewsEncoder:
    """Wraps an encoder; an image's vector is the mean over its views, scaled to unit length."""

    def __init__(self, inner: ImageEncoder, views: Views) -> None:
        self._inner, self._views = inner, views
        self.dim, self.precision = inner.dim, inner.precision
        self.image_size = views.decoded_size(inner.image_size)

    def encode(self, pixels: Pixels) -> Vectors:
        views = self._views.cut(pixels, self._inner.image_size)
        return mean_of_units([self._inner.encode(view) for view in views])
