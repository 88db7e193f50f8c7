"""Families of models: how their files are recognised, and what they say about the encoders."""

from tusou.core.errors import BadModel
from tusou.encoders.base import Weights
from tusou.encoders.families.alt_clip import AltClip
from tusou.encoders.families.base import Family
from tusou.encoders.families.chinese_clip import ChineseClip
from tusou.encoders.families.clip import Clip
from tusou.encoders.families.dual_encoder import DualEncoder
from tusou.encoders.families.metaclip2 import MetaClip2
from tusou.encoders.families.open_clip import OpenClip
from tusou.encoders.families.openai_clip import OpenAiClip
from tusou.encoders.families.remote import Remote
from tusou.encoders.families.siglip import Siglip
from tusou.encoders.forms.foreign_folders import describe_type
from tusou.encoders.model_folder import ModelFolder

# Tried in this order; a model's own code is the last resort.
FAMILIES: tuple[Family, ...] = (
    Clip(),
    OpenAiClip(),
    ChineseClip(),
    Siglip(),
    AltClip(),
    MetaClip2(),
    DualEncoder(),
    OpenClip(),
    Remote(),
)


def find_family(weights: Weights) -> Family:
    """Return the family of a model; BadModel for a folder of none of them."""
    for family in FAMILIES:
        if family.matches(weights):
            return family
    if not isinstance(weights.file, ModelFolder):
        raise BadModel(f"{weights.name} is not a checkpoint of open_clip that Tusou encodes with")
    raise BadModel(f"{weights.name} {describe_type(weights.file.config)}")
