"""The options and checked files of a build from vectors that another program encoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from tusou import __version__
from tusou.bundle.given_vectors import GivenVectors
from tusou.bundle.manifest import FORMAT, Counts, VectorSource
from tusou.bundle.model_record import Model
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.files import sha256_of
from tusou.core.ids import Failure, is_canonical_integer
from tusou.core.lazy_import import LazyImport
from tusou.encoders import (
    Weights,
    describe_encoder,
    find_license,
    find_weights,
    image_transform,
    resolve_encoder,
)
from tusou.text.prompt import check_prompt
from tusou_indexer.attached_items import AttachedItems, attach_items, no_items
from tusou_indexer.build import BuildSpec
from tusou_indexer.build_inputs import library_versions
from tusou_indexer.build_record import INDEX_LIBRARIES
from tusou_indexer.check_vectors import CheckedVectors, check_vectors
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.model_notices import choose_prompts

if TYPE_CHECKING:
    from tusou_indexer.item_attributes import ItemAttributes

_READ_ATTRIBUTES = LazyImport("tusou_indexer.item_attributes:read_attributes")  # imports pyarrow
_PREPROCESSING = "of the program that encoded the vectors"


@dataclass(frozen=True, slots=True)
class VectorBuildSpec:
    """Files of vectors and ids, and the options of a build from them."""

    vectors: Path
    ids: Path
    index: IndexRequest
    source: str | None = None  # a dataset with the items' images, or texts
    model: str | None = None  # encodes queries; None: there are only vectors
    device: str = "auto"
    prompt: str | None = None
    max_bad: str = "1%"
    strict_recall: bool = False
    attributes: Path | None = None

    @classmethod
    def of(cls, spec: BuildSpec, vectors: Path, ids: Path) -> Self:
        """Return the build from these files with the options that a build from a source has."""
        return cls(
            vectors,
            ids,
            spec.index_request,
            spec.source or None,
            spec.model or None,
            spec.device,
            spec.prompt,
            spec.max_bad,
            spec.strict_recall,
            spec.attributes,
        )

    @property
    def milvus_uri(self) -> str | None:
        """The server of an index on Milvus, as given."""
        return None if self.index.milvus is None else self.index.milvus.uri


@dataclass(frozen=True, slots=True)
class VectorBuildInputs:
    """The opened and checked inputs of a build."""

    vectors: GivenVectors
    checked: CheckedVectors
    items: AttachedItems
    weights: Weights | None
    attributes: "ItemAttributes | None"

    @property
    def failures(self) -> list[Failure]:
        return self.checked.failures

    def ids(self) -> Iterator[str]:
        return iter(self.checked.ids)


def check_encoder(spec: VectorBuildSpec, dim: int) -> Weights | None:
    """Return the weights of the query encoder, if any; InvalidRequest if it does not fit."""
    if spec.model is None:
        if spec.prompt is not None:
            raise InvalidRequest(
                "--prompt is for texts, which only a model can encode: add --model"
            )
        return None
    if spec.prompt is not None:
        check_prompt(spec.prompt)
    weights = find_weights(spec.model)
    shape = resolve_encoder(weights, "text", spec.device, "fp32").shape
    if shape.embed_dim != dim:
        raise InvalidRequest(
            f"the vectors of {weights.name} have {shape.embed_dim} numbers, those of "
            f"{spec.vectors} have {dim}; give the model that encoded them"
        )
    return weights


def with_template(
    spec: VectorBuildSpec, weights: Weights | None, progress: Progress
) -> VectorBuildSpec:
    """Return the options with the encoder's own template, if it has one and none is given."""
    if weights is None:
        return spec
    given = () if spec.prompt is None else (spec.prompt,)
    prompts = choose_prompts(given, _encoder_model(weights, 1), progress)
    return replace(spec, prompt=prompts[0] if prompts else None)


def read_inputs(
    spec: VectorBuildSpec, vectors: GivenVectors, weights: Weights | None, progress: Progress
) -> VectorBuildInputs:
    """Check every row, and read the attached items and attributes; notices say what to know."""
    progress.begin("checking vectors", 0)
    checked = check_vectors(vectors, spec.ids)
    if not checked.ids:
        first = checked.failures[0]
        raise BadDataset(
            f"{spec.vectors}: no row can be used; the first, line {first.line} of {spec.ids.name}: "
            f"{first.reason}"
        )
    if checked.scaled:
        progress.notice(
            f"{checked.scaled:,} of {len(checked.ids):,} vectors were not of unit length and are "
            "scaled to it"
        )
    items = no_items(spec.vectors, checked.ids)
    if spec.source is not None:
        items = attach_items(spec.source, checked.ids, progress)
    attributes = None
    if spec.attributes is not None:
        read = cast("Callable[[Path], ItemAttributes]", _READ_ATTRIBUTES.load())
        attributes = read(spec.attributes)
    inputs = VectorBuildInputs(vectors, checked, items, weights, attributes)
    for sentence in () if attributes is None else attributes.notices(inputs):
        progress.notice(sentence)
    return inputs


def describe_build(spec: VectorBuildSpec, inputs: VectorBuildInputs) -> dict[str, Any]:
    """Return the fields of the manifest that the bytes of a version depend on."""
    checked, attributes = inputs.checked, inputs.attributes
    source = VectorSource(
        name=spec.vectors.name,
        size=spec.vectors.stat().st_size,
        sha256=sha256_of(spec.vectors),
        ids_sha256=sha256_of(spec.ids),
        dtype=inputs.vectors.dtype,
        scaled=checked.scaled,
        encoder=inputs.weights is not None,
    )
    request, libraries = spec.index, library_versions("torch").items()
    recall = request.target_recall
    failed, embedded = len(checked.failures), len(checked.ids)
    return {
        "format": FORMAT,
        "tool": f"tusou {__version__}",
        "items": inputs.items.kind,
        "source": inputs.items.source,
        "model": _model(source, inputs),
        "preprocessing": _PREPROCESSING,
        "prompt": spec.prompt,
        "id_type": "int" if all(map(is_canonical_integer, checked.ids)) else "str",
        "counts": Counts(items=embedded + failed, embedded=embedded, failed=failed, truncated=0),
        "build": {
            "index": request.name,
            "target_recall": "default" if recall is None else f"{recall:g}",
            "index_device": "gpu" if request.on_gpu else "cpu",
            **{name: version for name, version in libraries if name in INDEX_LIBRARIES},
        },
        "attributes": None if attributes is None else dict(attributes.table.schema),
        "attribute_source": None if attributes is None else attributes.source(inputs),
        "vector_source": source,
    }


def _model(source: VectorSource, inputs: VectorBuildInputs) -> Model:
    dim, weights = inputs.vectors.dim, inputs.weights
    if weights is None:  # what is in the manifest stands for the vectors
        return Model(
            name=source.name, location=source.name, sha256=source.sha256, dim=dim, image_size=1
        )
    return _encoder_model(weights, dim)


def _encoder_model(weights: Weights, dim: int) -> Model:
    record = describe_encoder(weights)
    return Model(
        name=weights.name,
        location=weights.location,
        sha256=weights.digest,
        dim=dim,
        image_size=image_transform(weights).side,
        encoder=record,
        source=weights.source,
        named_license=None if record else find_license(weights),
    )
