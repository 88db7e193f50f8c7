"""Checks that a bundle, its index and the model's weights belong together."""

from collections.abc import Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Manifest
from tusou.bundle.model_record import EncoderRecord, ModelMember, differing_fields
from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel, CorruptBundle, IncompatibleBundle, InvalidRequest
from tusou.encoders import ModelWeights, TextEncoder, Weights, describe_encoder, find_weights
from tusou.encoders.student.folder import Student
from tusou.indexes import VectorIndex
from tusou.retrieval.students import check_golden

# Another precision or processor stays above this cosine; another model is far below.
_GOLDEN_COSINE = 0.99


def find_bundle_weights(manifest: Manifest, locations: Sequence[str] = ()) -> ModelWeights:
    """Return the weights that made a bundle; IncompatibleBundle if any are missing or others.

    Each is one of those at `locations`, in any order, or else where the manifest says.
    """
    parts = manifest.model.parts
    given = {weights.digest: weights for weights in (_find(parts, text) for text in locations)}
    for weights in given.values():
        _check_made(parts, weights)
    members = []
    for part in parts:
        weights = given.get(part.sha256) or _find((part,), part.location)
        _check_made((part,), weights)
        members.append(weights)
    return ModelWeights(tuple(members), tuple(part.weight for part in parts))


def split_locations(manifest: Manifest, model: str | None) -> list[str]:
    """Return the locations that an option names: several, with commas, for an ensemble alone."""
    if model is None:
        return []
    return model.split(",") if manifest.model.members else [model]


def _find(parts: Sequence[ModelMember], location: str) -> Weights:
    try:
        return find_weights(location, source=parts[0].source if len(parts) == 1 else None)
    except InvalidRequest as error:
        raise IncompatibleBundle(
            f"the weights that made the bundle ({_names(parts)}) are not where they were; give "
            f"their path with --model. {error}"
        ) from None


def _check_made(parts: Sequence[ModelMember], weights: Weights) -> None:
    """Raise IncompatibleBundle unless the weights are those of a part, and encode as it did."""
    made = next((part for part in parts if part.sha256 == weights.digest), None)
    differing = _differing((made or parts[0]).encoder, weights)
    if made is None:
        others = f" ({'; '.join(differing)})" if differing else ""
        raise IncompatibleBundle(
            f"the bundle was made with weights {_names(parts)}, found {weights.name} (sha256 "
            f"{weights.digest[:12]}){others}; give the right model with --model, or index again"
        )
    if differing:
        raise IncompatibleBundle(
            f"the bundle was made with other settings of {weights.name}: {'; '.join(differing)}; "
            "put them back, or index again"
        )


def _differing(recorded: EncoderRecord | None, weights: Weights) -> list[str]:
    """Return the settings of the encoder that differ from the recorded ones."""
    try:
        return differing_fields(recorded, describe_encoder(weights))
    except BadModel as error:
        return [str(error)]


def _names(parts: Sequence[ModelMember]) -> str:
    return ", ".join(f"{part.name}, sha256 {part.sha256[:12]}" for part in parts)


def check_compatibility(
    bundle: Bundle, index: VectorIndex, encoder: TextEncoder, student: Student | None = None
) -> None:
    """Raise IncompatibleBundle unless index, ids and golden texts match the manifest.

    A student, whose encoder it is then, has golden texts of its own.

    Every file is read or opened now, because the version's folder may be deleted before the first
    search. Raises CorruptBundle for a file that contradicts the manifest.
    """
    texts, expected = bundle.golden
    _ = bundle.source_files, bundle.spans, bundle.vector_file, bundle.attributes, bundle.query_bank
    same_count = len(index) == len(bundle.ids) == bundle.item_count
    if not same_count or index.dim != bundle.index_dim:
        raise CorruptBundle(f"{bundle.folder}: index and ids do not belong together; index again")
    if encoder.dim != bundle.dim:
        raise IncompatibleBundle(
            f"{bundle.folder}: its vectors are not of this model's length; index again"
        )
    if not texts:  # there is no model
        return
    if student is not None:
        check_golden(student, encoder)
        return
    check_golden_texts(bundle.manifest.model.parts, (texts, expected), encoder)


def check_golden_texts(
    parts: Sequence[ModelMember], golden: tuple[Sequence[str], Vectors], encoder: TextEncoder
) -> None:
    """Raise IncompatibleBundle unless the bundle's model gives its golden texts their vectors."""
    texts, expected = golden
    vectors = encoder.encode(encoder.prepare(texts))
    lowest = _lowest_cosine(parts, vectors, expected)
    if not lowest >= _GOLDEN_COSINE:
        raise IncompatibleBundle(
            f"this machine encodes the bundle's golden texts differently (cosine {lowest:.4f}); "
            "check the installed torch, openvino and cn_clip, or index again"
        )


def _lowest_cosine(parts: Sequence[ModelMember], vectors: Vectors, expected: Vectors) -> float:
    """Return the lowest cosine of equal rows, for the model where it is lowest."""
    products, lowest, start = vectors * expected, np.inf, 0
    for part in parts:
        cosines = products[:, start : start + part.dim].sum(axis=1) / part.weight
        lowest, start = min(lowest, float(cosines.min())), start + part.dim
    return lowest
