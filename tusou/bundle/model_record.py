"""The manifest's record of the model, which may be an ensemble of several."""

from collections.abc import Iterable
from hashlib import sha256
from math import isclose
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from tusou.bundle.record import Digest, Dimension, Record, RecordedPath
from tusou.images.transform import Fit, ImageTransform, Interpolation

HubName: TypeAlias = Literal["huggingface", "modelscope"]


CHINESE_CLIP = "chinese-clip"  # the family of a model without an `EncoderRecord`


class ModelSource(Record):
    """The hub that a model was downloaded from, pinned to a revision."""

    hub: HubName
    id: RecordedPath  # such as OFA-Sys/chinese-clip-vit-base-patch16
    revision: RecordedPath  # the commit


class TransformRecord(Record):
    """The fields of an `ImageTransform`."""

    side: Dimension
    fit: Fit
    shorter_side: Dimension | None
    interpolation: Interpolation
    rgb_first: bool
    round_crop: bool = False

    @property
    def as_transform(self) -> ImageTransform:
        """The transform of these fields."""
        return ImageTransform(**self.model_dump())


class EncoderRecord(Record):
    """The settings of a model of another family than Chinese-CLIP, for texts and images.

    Its weights do not show them, and vectors that were made with others would differ.
    """

    family: RecordedPath  # such as clip or siglip
    library: Literal["tusou", "transformers", "open_clip"]  # that defines it
    architecture: RecordedPath  # the library's name: CLIPModel, xlm-roberta-base-ViT-B-32
    tokenizer: RecordedPath  # its kind, as the library names it
    tokenizer_sha256: Digest  # of its files
    context_length: Dimension  # tokens a text may have, start and end included
    padding: Literal["longest", "max_length"]  # what texts are padded to
    lower_case: bool  # whether texts are put into lower case first
    template: str | None  # that the model was trained with; used if no other prompt is given
    transform: TransformRecord
    mean: tuple[float, float, float]  # of the channels, on the scale from 0 to 1
    std: tuple[float, float, float]
    normalized: bool  # whether vectors are scaled to unit length
    logit_scale: float  # of a cosine, as exp of the stored parameter
    logit_bias: float
    license: str | None  # as its files name it, None if they do not

    @property
    def is_non_commercial(self) -> bool:
        """Return whether the licence forbids commercial use."""
        return forbids_commercial_use(self.license)


def forbids_commercial_use(license: str | None) -> bool:  # noqa: A002 - its name
    """Return whether the name of a licence says that it forbids commercial use."""
    name = (license or "").lower()
    return "-nc" in name or "non-commercial" in name or "noncommercial" in name


# Says nothing about the vectors, and may be missing in a copy of the files.
_ONLY_SHOWN = {"license"}
_ROUNDING = 1e-6


def differing_fields(recorded: EncoderRecord | None, found: EncoderRecord | None) -> list[str]:
    """Return the settings that differ, each with both values; [] for encoders that agree.

    Numbers agree up to the rounding of single precision: they may be written with fewer digits.
    """
    ours, theirs = _flat(recorded), _flat(found)
    return [
        f"{name} is {theirs.get(name)}, not {ours.get(name)}"
        for name in {**ours, **theirs}
        if not _agree(ours.get(name), theirs.get(name))
    ]


def _agree(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return isclose(ours, theirs, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(_agree, ours, theirs))
    return ours == theirs


def _flat(record: EncoderRecord | None) -> dict[str, object]:
    if record is None:
        return {"family": CHINESE_CLIP}
    fields = record.model_dump(exclude=_ONLY_SHOWN)
    transform = fields.pop("transform")
    return {**fields, **{f"transform.{name}": value for name, value in transform.items()}}


class _OneModel(Record):
    name: str
    # The location of the weights: a published name, `demo`, a hub's id at its commit, or a path.
    location: RecordedPath
    sha256: Digest
    dim: Dimension
    image_size: Dimension
    encoder: EncoderRecord | None = None  # None: Chinese-CLIP, as cn_clip runs it
    source: ModelSource | None = None
    named_license: str | None = None  # of a model without `encoder`, as its files name it

    @property
    def family(self) -> str:
        """The family of the model, such as chinese-clip or siglip."""
        return CHINESE_CLIP if self.encoder is None else self.encoder.family

    @property
    def license(self) -> str | None:
        """The licence that the model's files name, None if they do not."""
        return self.named_license if self.encoder is None else self.encoder.license

    @property
    def is_non_commercial(self) -> bool:
        """Return whether the licence forbids commercial use."""
        return forbids_commercial_use(self.license)

    @property
    def transform(self) -> ImageTransform:
        """The transform of the images."""
        if self.encoder is None:
            return ImageTransform(self.image_size)
        return self.encoder.transform.as_transform


class ModelMember(_OneModel):
    """One model of an ensemble."""

    weight: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]  # of its cosine in the score


class Model(_OneModel):
    """The weights that encoded the images, and must encode the queries.

    The vectors of an ensemble are those of its members side by side, each scaled by the square
    root of the member's weight: the score is the weighted sum of the members' cosines.
    """

    # The members of an ensemble, in the order of the vectors' parts. Its `location` is its name,
    # its `sha256` is `ensemble_digest`, and its `image_size` the largest of its members.
    members: tuple[ModelMember, ...] = ()

    @property
    def parts(self) -> tuple[ModelMember, ...]:
        """The members, or the model itself as the only one."""
        alone = {name: getattr(self, name) for name in _OneModel.model_fields}
        return self.members or (ModelMember(**alone, weight=1.0),)

    @model_validator(mode="after")
    def _agree_with_members(self) -> Self:
        members = self.members
        if members and not (
            len(members) > 1
            and isclose(sum(member.weight for member in members), 1, abs_tol=1e-6)
            and self.dim == sum(member.dim for member in members)
            and self.image_size == max(member.image_size for member in members)
            and self.sha256 == ensemble_digest((each.sha256, each.weight) for each in members)
        ):
            raise ValueError("the members of the ensemble do not make this model")
        return self


def ensemble_digest(members: Iterable[tuple[str, float]]) -> str:
    """Return the digest that stands for an ensemble: of its members' digests and weights."""
    lines = (f"{digest} {weight!r}\n" for digest, weight in members)
    return sha256("".join(lines).encode()).hexdigest()
