"""An image encoder that averages the vectors of several views of an image."""

from tusou.core.arrays import Pixels, Vectors
from tusou.core.unit_vectors import mean_of_units
from tusou.encoders.base import ImageEncoder
from tusou.images.transform import as_transforms
from tusou.images.views import Views


class ViewsEncoder:
    """Wraps one model's encoder; an image's vector is the mean over its views, of unit length."""

    def __init__(self, inner: ImageEncoder, views: Views) -> None:
        self._inner, self._views = inner, views
        (transform,) = as_transforms(inner.transform)
        self._side = transform.side
        self.dim, self.precision = inner.dim, inner.precision
        self.transform = transform.resized(views.decoded_size(self._side))

    def encode(self, pixels: Pixels) -> Vectors:
        views = self._views.cut(pixels, self._side)
        return mean_of_units([self._inner.encode(view) for view in views])
