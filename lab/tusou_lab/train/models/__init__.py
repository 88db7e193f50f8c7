"""Opens models for training, by the format of their files."""

from pathlib import Path

from tusou.core.errors import InvalidRequest
from tusou.encoders import find_weights
from tusou.encoders.families import find_family
from tusou.encoders.families.chinese_clip import ChineseClip
from tusou_lab.train.models.base import Features, Loss, Part, TrainableModel, Traits
from tusou_lab.train.models.cn_clip import CnClipModel
from tusou_lab.train.models.library import LibraryTrainable

ARCHITECTURE = ".json"  # ends the name of a file that a new network is built from

__all__ = ["ARCHITECTURE", "Features", "Loss", "Part", "TrainableModel", "Traits", "open_trainable"]


def open_trainable(model: str) -> TrainableModel:
    """Return a new model for a `.json` architecture, or a restored one to fine-tune.

    `model` is a MODEL of the command line. Raises InputError for an architecture that cannot be
    built, InvalidRequest for an unknown name, BadModel for files that cannot be used, and
    MissingDependency without the library of the model.
    """
    if model.endswith(ARCHITECTURE):
        return CnClipModel.new(Path(model))
    weights = find_weights(model)
    family = find_family(weights)
    record = family.describe(weights)
    if family.name == ChineseClip.name or record is None:
        return CnClipModel.restore(weights)
    if weights.path.is_file() and weights.open_clip is None:
        raise InvalidRequest(
            f"{weights.name} does not name its architecture: give it with its name in open_clip, "
            "as in --model open_clip:ViT-B-32-quickgelu@FILE"
        )
    return LibraryTrainable(weights, record)
