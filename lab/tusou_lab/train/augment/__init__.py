"""Random changes of the images and texts of a training batch, as named policies."""

from tusou_lab.train.augment.spec import AugmentSpec

__all__ = ["AugmentSpec"]
