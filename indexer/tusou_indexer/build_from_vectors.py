"""Builds a bundle from vectors that another program encoded, and publishes it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from tusou import __version__
from tusou.bundle.array_file import array_header, map_array, save_array
from tusou.bundle.bundle import Bundle
from tusou.bundle.given_vectors import GivenVectors
from tusou.bundle.manifest import (
    ATTRIBUTES,
    FAILURES,
    FILES,
    FORMAT,
    GOLDEN,
    IDS,
    INDEX,
    SPANS,
    VECTORS,
    Counts,
    Manifest,
    VectorSource,
)
from tusou.bundle.manifest_file import file_records, write_manifest
from tusou.bundle.model_record import Model
from tusou.bundle.publication import WORK, check_output, lock_bundle
from tusou.bundle.vector_file import VECTOR_TYPE
from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.files import create_file, naming_file, replace_folder, sha256_of
from tusou.core.ids import Failure, is_canonical_integer
from tusou.core.lazy_import import LazyImport
from tusou.encoders import (
    TextEncoder,
    Weights,
    describe_encoder,
    find_license,
    find_weights,
    image_transform,
    load_reference_text_encoder,
    prepare_service,
    resolve_encoder,
)
from tusou.text.prompt import check_prompt
from tusou_indexer.attached_items import AttachedItems, attach_items, no_items
from tusou_indexer.build import BuildReport, BuildSpec
from tusou_indexer.build_checks import (
    allowed_failures,
    check_failures,
    check_live_changes,
    check_recall,
    notice_stages,
)
from tusou_indexer.build_inputs import library_versions
from tusou_indexer.build_record import INDEX_LIBRARIES
from tusou_indexer.check_vectors import CheckedVectors, check_vectors
from tusou_indexer.index.recall_probes import image_probes, text_probes
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.model_notices import choose_prompts, notice_licenses
from tusou_indexer.publish import publish
from tusou_indexer.published import PublishedVersions
from tusou_indexer.version_collection import build_version_index, check_target, is_missing
from tusou_indexer.write_bundle import GOLDEN_TEXTS, write_lines

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
class _Inputs:
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


def build_from_vectors(
    spec: VectorBuildSpec, out: Path, progress: Progress, *, force: bool = False
) -> BuildReport:
    """Index the rows of a file of vectors into the bundle `out` and publish it.

    If the same build is published already, nothing is done unless `force` is set. Raises
    InvalidRequest for a model of another space or a wrong option, BadDataset for files that are
    not vectors and their ids, or when more rows are unusable than `max_bad` allows, and Locked and
    OutputExists as `build` does.
    """
    started = perf_counter()
    vectors = GivenVectors(spec.vectors)
    allowed_failures(spec.max_bad, 0)
    weights = _check_encoder(spec, vectors.dim)
    spec.index.check(vectors.dim, len(vectors))
    check_output(out)
    with lock_bundle(out):
        check_target(spec.index.milvus)
        versions = PublishedVersions(out)
        current = versions.current()
        if not force:
            check_live_changes(current, out)
        inputs = _read_inputs(spec, vectors, weights, progress)
        spec = _with_template(spec, weights, progress)
        described = _describe(spec, inputs)
        notice_licenses(described["model"], progress)
        bundle = None if force or current is None else _unless_new(versions, current, described)
        if bundle is None or is_missing(bundle.manifest, spec.milvus_uri):
            live_position = current.manifest.live_position if current else 0
            bundle = _build(spec, inputs, described | {"live_position": live_position}, out)
            notice_stages(current, bundle, progress)
        elif spec.strict_recall:
            check_recall(bundle.manifest.index)
    manifest, seconds = bundle.manifest, perf_counter() - started
    return BuildReport(out, bundle.version, manifest.counts, manifest.index, 0, seconds)


def _check_encoder(spec: VectorBuildSpec, dim: int) -> Weights | None:
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
    shape = resolve_encoder(weights, "text", spec.device).shape
    if shape.embed_dim != dim:
        raise InvalidRequest(
            f"the vectors of {weights.name} have {shape.embed_dim} numbers, those of "
            f"{spec.vectors} have {dim}; give the model that encoded them"
        )
    return weights


def _with_template(
    spec: VectorBuildSpec, weights: Weights | None, progress: Progress
) -> VectorBuildSpec:
    """Return the options with the encoder's own template, if it has one and none is given."""
    if weights is None:
        return spec
    given = () if spec.prompt is None else (spec.prompt,)
    prompts = choose_prompts(given, _encoder_model(weights, 1), progress)
    return replace(spec, prompt=prompts[0] if prompts else None)


def _read_inputs(
    spec: VectorBuildSpec, vectors: GivenVectors, weights: Weights | None, progress: Progress
) -> _Inputs:
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
    inputs = _Inputs(vectors, checked, items, weights, attributes)
    for sentence in () if attributes is None else attributes.notices(inputs):
        progress.notice(sentence)
    return inputs


def _describe(spec: VectorBuildSpec, inputs: _Inputs) -> dict[str, Any]:
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


def _model(source: VectorSource, inputs: _Inputs) -> Model:
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


def _unless_new(
    versions: PublishedVersions, current: Bundle, described: dict[str, Any]
) -> Bundle | None:
    """Return the current version if a build would give the same."""
    manifest = current.manifest
    same = all(getattr(manifest, name) == value for name, value in described.items())
    return current if same and versions.is_intact(current) else None


def _build(spec: VectorBuildSpec, inputs: _Inputs, fields: dict[str, Any], out: Path) -> Bundle:
    folder = out / WORK / "version"
    replace_folder(folder)
    manifest = _write_version(spec, inputs, fields, folder)
    check_failures(spec.max_bad, manifest.counts, folder)
    if spec.strict_recall:
        check_recall(manifest.index)
    bundle = publish(out, folder, (), spec.milvus_uri)
    if inputs.weights is not None:
        prepare_service(inputs.weights, spec.device)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # an interrupted build from a source stays
        (out / WORK).rmdir()
    return bundle


def _write_version(
    spec: VectorBuildSpec, inputs: _Inputs, fields: dict[str, Any], folder: Path
) -> Manifest:
    """Write every file of a version, the manifest last."""
    checked, items = inputs.checked, inputs.items
    rows = (json.dumps(bad.record(), ensure_ascii=False) for bad in checked.failures)
    write_lines(folder / FAILURES, rows)
    write_lines(folder / IDS, checked.ids)
    if inputs.attributes is not None:
        inputs.attributes.of_items(checked.ids).write(folder / ATTRIBUTES)
    save_array(folder / SPANS, items.spans)
    write_lines(folder / FILES, [json.dumps(items.files)])
    vectors = _write_vectors(inputs, folder / VECTORS)
    encoder = None
    if inputs.weights is not None:
        encoder = load_reference_text_encoder(inputs.weights, spec.prompt)
    write_lines(folder / GOLDEN, [json.dumps(_golden(encoder), ensure_ascii=False)])
    probes = partial(_probes, inputs, encoder)
    built = build_version_index(vectors, spec.index, probes, folder)
    with naming_file(folder / INDEX):
        built.index.save(folder / INDEX)
    manifest = Manifest(**fields, index=built.record, files=file_records(folder))
    write_manifest(manifest, folder)
    return manifest


def _write_vectors(inputs: _Inputs, path: Path) -> npt.NDArray[np.float32]:
    """Write the usable rows as unit vectors; return them mapped from the file."""
    shape = len(inputs.checked.rows), inputs.vectors.dim
    with create_file(path) as file:
        file.write(array_header(VECTOR_TYPE, shape))
        for block in inputs.vectors.unit_rows(inputs.checked.rows):
            file.write(np.ascontiguousarray(block, VECTOR_TYPE).data)
    return map_array(path, VECTOR_TYPE, shape)


def _golden(encoder: TextEncoder | None) -> dict[str, object]:
    if encoder is None:
        return {"texts": [], "vectors": []}
    vectors = encoder.encode(encoder.prepare(GOLDEN_TEXTS))
    return {"texts": GOLDEN_TEXTS, "vectors": vectors.tolist()}


def _probes(inputs: _Inputs, encoder: TextEncoder | None) -> Vectors:
    """Return query vectors of the other kind than the items; none without an encoder."""
    if encoder is None or inputs.weights is None:
        return np.empty((0, inputs.vectors.dim), np.float32)
    is_images = inputs.items.kind == "images"
    return text_probes(encoder) if is_images else image_probes([inputs.weights])
