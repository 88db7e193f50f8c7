"""Builds a bundle from vectors that another program encoded, and publishes it."""

import shutil
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from tusou.bundle.bundle import Bundle
from tusou.bundle.given_vectors import GivenVectors
from tusou.bundle.publication import WORK, check_output, lock_bundle
from tusou.cli.progress import Progress
from tusou.core.files import replace_folder
from tusou.encoders import prepare_service
from tusou_indexer.build import BuildReport
from tusou_indexer.build_checks import (
    allowed_failures,
    check_failures,
    check_live_changes,
    check_recall,
    notice_stages,
)
from tusou_indexer.model_notices import notice_licenses
from tusou_indexer.publish import publish
from tusou_indexer.published import PublishedVersions
from tusou_indexer.vector_build_inputs import (
    VectorBuildInputs,
    VectorBuildSpec,
    check_encoder,
    describe_build,
    read_inputs,
    with_template,
)
from tusou_indexer.version_collection import check_target, is_missing
from tusou_indexer.write_vector_version import write_version


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
    weights = check_encoder(spec, vectors.dim)
    spec.index.check(vectors.dim, len(vectors))
    check_output(out)
    with lock_bundle(out):
        check_target(spec.index.milvus)
        versions = PublishedVersions(out)
        current = versions.current()
        if not force:
            check_live_changes(current, out)
        inputs = read_inputs(spec, vectors, weights, progress)
        spec = with_template(spec, weights, progress)
        described = describe_build(spec, inputs)
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


def _unless_new(
    versions: PublishedVersions, current: Bundle, described: dict[str, Any]
) -> Bundle | None:
    """Return the current version if a build would give the same."""
    manifest = current.manifest
    same = all(getattr(manifest, name) == value for name, value in described.items())
    return current if same and versions.is_intact(current) else None


def _build(
    spec: VectorBuildSpec, inputs: VectorBuildInputs, fields: dict[str, Any], out: Path
) -> Bundle:
    folder = out / WORK / "version"
    replace_folder(folder)
    manifest = write_version(spec, inputs, fields, folder)
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
