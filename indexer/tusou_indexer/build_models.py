"""The models of a build: one, or several with their weights in the score."""

from collections.abc import Sequence
from math import isfinite

from tusou.bundle.model_record import Model, ModelMember, ensemble_digest
from tusou.core.errors import InvalidRequest
from tusou.encoders import ResolvedEncoder, find_license

_LEAST_WEIGHT = 1e-6  # of a model, when they add up to 1


def parse_weights(text: str) -> tuple[float, ...]:
    """Parse weights such as `0.6,0.4`; InvalidRequest if one is not a number."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InvalidRequest(f"--weights {text!r}: give numbers such as 0.6,0.4") from None


def scale_weights(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """Return the weights of `count` models, adding up to 1; equal ones if none are given.

    Raises InvalidRequest unless there is one for each model, all of them above 0.
    """
    if not weights:
        return (1 / count,) * count
    if count == 1 or len(weights) != count:
        raise InvalidRequest(
            f"--weights has {len(weights)} numbers for {count} --model; give one for each of "
            "several models"
        )
    total = sum(weights)
    if not all(isfinite(weight) and weight > 0 for weight in (*weights, total)):
        raise InvalidRequest("--weights must be above 0; leave out a model of weight 0")
    scaled = tuple(weight / total for weight in weights)
    if min(scaled) < _LEAST_WEIGHT:
        raise InvalidRequest("--weights: a model below a millionth of the others changes nothing")
    return scaled


def record_model(towers: Sequence[ResolvedEncoder], weights: Sequence[float]) -> Model:
    """Return the manifest's record of the models.

    Raises InvalidRequest for models that do not fit together.
    """
    members = [
        ModelMember(
            name=tower.weights.name,
            location=tower.weights.location,
            sha256=tower.weights.digest,
            dim=tower.shape.embed_dim,
            image_size=tower.transform.side,
            encoder=tower.record,
            source=tower.weights.source,
            named_license=None if tower.record else find_license(tower.weights),
            weight=weight,
        )
        for tower, weight in zip(towers, weights, strict=True)
    ]
    if len(members) == 1:
        return Model(**members[0].model_dump(exclude={"weight"}))
    if len({member.sha256 for member in members}) < len(members):
        raise InvalidRequest("--model: the same weights twice; give each model once")
    name = "+".join(f"{member.weight:.3g}*{member.name}" for member in members)
    return Model(
        name=name,
        location=name,
        sha256=ensemble_digest((member.sha256, member.weight) for member in members),
        dim=sum(member.dim for member in members),
        image_size=max(member.image_size for member in members),
        members=tuple(members),
    )
