"""Models that can be trained, by the form of their files."""

from tusou_lab.train.models.base import Features, Loss, Part, TrainableModel, Traits
from tusou_lab.train.models.cn_clip import CnClipModel

__all__ = ["Features", "Loss", "Part", "TrainableModel", "Traits", "open_trainable"]


def open_trainable(model: str) -> TrainableModel:
    """Return a new model for a `.json` architecture, or a restored one to fine-tune.

    `model` is a MODEL of the command line. Raises InputError for an architecture that cannot be
    built, InvalidRequest for an unknown name and BadModel for files that cannot be used.
    """
    return CnClipModel.open(model)
