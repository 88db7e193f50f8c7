"""The manifest's record of the model, which may be an ensemble of several."""

from collections.abc import Iterable
from hashlib import sha256
from math import isclose
from typing import Annotated, Self

from pydantic import Field, model_validator

from tusou.bundle.record import Digest, Dimension, Record, RecordedPath


class ModelMember(Record):
    """One model of an ensemble."""

    name: str
    location: RecordedPath  # where the weights are found: a published name, `demo` or a path
    sha256: Digest
    dim: Dimension
    image_size: Dimension
    weight: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]  # of its cosine in the score


class Model(Record):
    """The weights that encoded the images, and must encode the queries.

    The vectors of an ensemble are those of its members side by side, each scaled by the square
    root of the member's weight: the score is the weighted sum of the members' cosines.
    """

    name: str
    location: RecordedPath  # as of a member; of an ensemble the name, for its members have theirs
    sha256: Digest  # of an ensemble: `ensemble_digest`
    dim: Dimension
    image_size: Dimension  # of an ensemble: the largest of its members
    members: tuple[ModelMember, ...] = ()  # of an ensemble, in the order of the vectors' parts

    @property
    def parts(self) -> tuple[ModelMember, ...]:
        """The members, or the model itself as the only one."""
        alone = self.model_dump(exclude={"members"})
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
