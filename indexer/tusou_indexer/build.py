"""Builds a bundle from a source and publishes it; resumes an interrupted build."""

import re
import shutil
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, cast

from tusou.bundle.biased_vectors import biased_dim
from tusou.bundle.bundle import Bundle
from tusou.bundle.model_record import ModelMember
from tusou.bundle.old_versions import remove_old
from tusou.bundle.publication import WORK, check_output, lock_bundle
from tusou.bundle.shards import ShardStore
from tusou.cli.progress import Progress
from tusou.core.errors import InvalidRequest
from tusou.core.files import replace_folder, sha256_of
from tusou.core.hardware import cpu_count
from tusou.core.lazy_import import LazyImport
from tusou.core.remote_code import is_code_trusted
from tusou.data import open_pool, split_source
from tusou.encoders import (
    ResolvedEncoder,
    Tower,
    Weights,
    find_weights,
    image_part,
    join_names,
    open_image_encoder,
    open_text_encoder,
    prepare_service,
    resolve_encoder,
    text_part,
    with_views,
)
from tusou.encoders.families.dual_encoder import untrained_note
from tusou.images.preparation import Preparation
from tusou.images.views import Views
from tusou_indexer.build_checks import (
    allowed_failures,
    check_failures,
    check_live_changes,
    check_recall,
    notice_stages,
)
from tusou_indexer.build_inputs import BuildInputs, library_versions, open_source, source_stamp
from tusou_indexer.build_models import record_model, scale_weights
from tusou_indexer.build_record import merge_reused
from tusou_indexer.build_spec import BuildReport, BuildSpec
from tusou_indexer.calibrate_models import calibrate_models
from tusou_indexer.embed import Matches, embed_images, embed_texts
from tusou_indexer.model_notices import choose_prompts, notice_licenses
from tusou_indexer.model_shards import ModelShards
from tusou_indexer.plan import Plan, ScannedSource, make_plan, scan_source
from tusou_indexer.publish import publish
from tusou_indexer.published import (
    PublishedVersions,
    find_equal,
    open_once,
)
from tusou_indexer.query_bank import QueryBank
from tusou_indexer.reuse import reuse_vectors, versions_with
from tusou_indexer.shard_worker import WorkerRecipe
from tusou_indexer.version_collection import check_target, is_missing, releasing
from tusou_indexer.write_bundle import BundleRecipe, reused_by_model, write_bundle

if TYPE_CHECKING:
    from tusou_indexer.item_attributes import ItemAttributes

__all__ = ["BuildReport", "BuildSpec", "build"]

# With other sizes the last digits of the vectors would change, and so would every version.
SHARD_ROWS = 2048
BATCH_ROWS = 64

_EMBED_ON_RAY = LazyImport("tusou_indexer.on_ray:embed_on_ray", "ray")  # imports ray
_READ_ATTRIBUTES = LazyImport("tusou_indexer.item_attributes:read_attributes")  # imports pyarrow


def build(spec: BuildSpec, out: Path, progress: Progress, *, force: bool = False) -> BuildReport:
    """Index a source into the bundle `out` and publish it.

    An interrupted build of the same inputs is resumed. If the same build is published already,
    nothing is done unless `force` is set. Raises Locked when another build is writing `out`,
    OutputExists when `out` holds something else, BadDataset when more lines are unusable than
    `max_bad` allows, and InvalidRequest for a wrong option or, in a strict build, for an index
    that misses its target of recall.
    """
    started = perf_counter()
    allowed_failures(spec.max_bad, 0)
    _check_cluster(spec)
    prompts = spec.read_prompts()
    Preparation.parse(spec.prepare)
    shares = scale_weights(spec.weights, len(spec.models))
    models = _find_models(spec.models, progress)
    bank = _read_bank(spec)
    check_output(out)
    with lock_bundle(out):
        kind = open_pool(spec.source).kind
        if Views.parse(spec.views) and kind == "texts":
            raise InvalidRequest("--views is for images, and the items are texts")
        tower: Tower = "text" if kind == "texts" else "image"
        if bank is not None:
            bank.check(tower)
        precisions = calibrate_models(spec, models, tower, out, progress, force=force)
        towers = [
            resolve_encoder(each, tower, spec.device, precision)
            for each, precision in zip(models, precisions, strict=True)
        ]
        model = record_model(towers, shares)
        notice_licenses(model, progress)
        prompts = choose_prompts(prompts, model, progress)
        dim = model.dim if bank is None else biased_dim(model.dim)
        spec.index_request.check(dim)
        check_target(spec.index_request.milvus)
        versions = PublishedVersions(out)
        current = versions.current()
        if not force:
            check_live_changes(current, out)
        inputs = _inputs(spec, towers, model.sha256)
        recipe = BundleRecipe(
            model,
            tuple(models),
            spec.index_request,
            prompts,
            None if spec.attributes is None else sha256_of(spec.attributes),
            current.manifest.live_position if current else 0,
            bank,
        )
        plan = None if force else Plan.matching(out / WORK / "plan", inputs)
        source = plan or scan_source(open_source(inputs))
        bundle = None if force else find_equal(versions, inputs, recipe, source.sha256)
        encoded = 0
        if bundle is None or is_missing(bundle.manifest, spec.milvus_uri):
            attributes = None if spec.attributes is None else _read_attributes(spec.attributes)
            if isinstance(source, ScannedSource):
                replace_folder(out / WORK)
                source = make_plan(out / WORK / "plan", inputs, source)
            reusable = open_once(
                None if force else versions, spec.reuse, inputs, source.kind, recipe, progress
            )
            bundle, encoded = _build(
                spec, out, source, towers, recipe, attributes, reusable, progress
            )
            notice_stages(current, bundle, progress)
        else:
            if spec.strict_recall:
                check_recall(bundle.manifest.index)
            _remove_leftovers(out / WORK, inputs)
            remove_old(out, bundle.version, releasing(spec.milvus_uri))
    seconds = perf_counter() - started
    manifest = bundle.manifest
    return BuildReport(out, bundle.version, manifest.counts, manifest.index, encoded, seconds)


def _find_models(names: Sequence[str], progress: Progress) -> list[Weights]:
    """Find the models, and report those whose scores mean nothing yet."""
    models = [find_weights(name) for name in names]
    for note in filter(None, map(untrained_note, models)):
        progress.notice(note)
    return models


def _build(
    spec: BuildSpec,
    out: Path,
    plan: Plan,
    towers: Sequence[ResolvedEncoder],
    recipe: BundleRecipe,
    attributes: "ItemAttributes | None",
    reusable: Callable[[], Sequence[Bundle]],
    progress: Progress,
) -> tuple[Bundle, int]:
    """Encode what is missing, write and publish a version; return it and the items encoded."""
    work = out / WORK
    for sentence in plan.skipped_files:
        progress.notice(f"skipped {sentence}")
    for sentence in () if attributes is None else attributes.notices(plan):
        progress.notice(sentence)
    dim = recipe.model.dim if recipe.bank is None else biased_dim(recipe.model.dim)
    spec.index_request.check(dim, len(plan))
    store = ModelShards(
        [
            ShardStore(work / (f"shards-{number}" if number else "shards"), plan.digest)
            for number in range(len(towers))
        ]
    )
    encoded = 0  # items; of several models the most
    for number, (shards, tower) in enumerate(zip(store.stores, towers, strict=True)):
        # Measured on processors (`python -m benchmarks.batch_independence`).
        independent = plan.kind == "images" and tower.device == "cpu"
        model = recipe.model.parts[number]
        versions = versions_with(reusable, plan.inputs, recipe, number)
        matched = reuse_vectors(plan, shards, versions, tower, progress, independent=independent)
        encoded = max(encoded, _embed(spec, plan, shards, matched, tower, model, progress))
    manifest = write_bundle(plan, store, recipe, work / "version", attributes)
    check_failures(spec.max_bad, manifest.counts, work / "version")
    if spec.strict_recall:
        check_recall(manifest.index)
    reused = merge_reused(chain.from_iterable(reused_by_model(store, plan.shard_count)))
    bundle = publish(out, work / "version", reused, spec.milvus_uri)
    for tower in towers:
        prepare_service(tower.weights, spec.device)
    _remove_leftovers(work, plan.inputs)
    return bundle, encoded


def _read_bank(spec: BuildSpec) -> QueryBank | None:
    if spec.query_bank is not None:
        return QueryBank.read(spec.query_bank, spec.hub_k, spec.hub_alpha)
    if spec.hub_k is not None or spec.hub_alpha is not None:
        raise InvalidRequest("--hub-k and --hub-alpha belong to --query-bank")
    return None


def _check_cluster(spec: BuildSpec) -> None:
    """Raise InvalidRequest for options that do not fit, MissingDependency where ray is missing."""
    if spec.on not in {"local", "ray"}:
        raise InvalidRequest(f"--on {spec.on!r}: give local or ray")
    if spec.on == "ray":
        _embed_on_ray()
        address = spec.ray_address or "auto"
        if address != "auto" and not re.fullmatch(r"[^/\s]+:\d{1,5}", address):
            raise InvalidRequest("--ray-address is HOST:PORT of the cluster's head, or auto")
    elif spec.ray_address is not None:
        raise InvalidRequest("--ray-address belongs to --on ray")


def _embed_on_ray() -> "Callable[..., int]":
    return cast("Callable[..., int]", _EMBED_ON_RAY.load())


def _read_attributes(path: Path) -> "ItemAttributes":
    return cast("Callable[[Path], ItemAttributes]", _READ_ATTRIBUTES.load())(path)


def _remove_leftovers(work: Path, inputs: BuildInputs) -> None:
    """Delete the working files of a published build; those of another build stay."""
    if not work.exists():
        return
    plan = Plan.read(work / "plan")
    if plan is None or plan.inputs == inputs:
        shutil.rmtree(work / "plan", ignore_errors=True)  # first: shards without it are not used
        shutil.rmtree(work)


def _embed(
    spec: BuildSpec,
    plan: Plan,
    store: ShardStore,
    matched: Matches,
    tower: ResolvedEncoder,
    model: ModelMember,
    progress: Progress,
) -> int:
    """Encode the missing shards; return the items encoded. The encoder is freed on return."""
    if store.complete(plan.shard_count):
        progress.begin("encoding", len(plan), len(plan))
        return 0
    if spec.on == "ray":
        recipe = WorkerRecipe(
            model.location,
            model.sha256,
            tower.backend,
            tower.device,
            tower.precision,
            model.weight,
            tower.record,
            is_code_trusted(),
        )
        address = spec.ray_address or "auto"
        return _embed_on_ray()(plan, store, matched, recipe, model.dim, address, progress)
    if plan.kind == "texts":
        texts = open_text_encoder(tower)  # without a prompt, which is for queries
        return embed_texts(plan, store, matched, text_part(texts, model.weight), progress)
    images = with_views(open_image_encoder(tower), Views.parse(spec.views))
    workers = spec.workers or cpu_count()
    encoder = image_part(images, model.weight)
    return embed_images(plan, store, matched, encoder, workers, progress)


def _inputs(spec: BuildSpec, towers: Sequence[ResolvedEncoder], digest: str) -> BuildInputs:
    path, split = split_source(spec.source)
    backend = join_names([tower.backend for tower in towers])
    return BuildInputs(
        source=str(path.resolve()),
        split=split,
        stamp=source_stamp(path),
        model_sha256=digest,
        device=spec.device,
        precision=join_names([tower.precision for tower in towers]),
        backend=backend,
        shard_rows=SHARD_ROWS,
        batch_rows=BATCH_ROWS,
        prepare=str(Preparation.parse(spec.prepare)),
        max_megapixels=spec.max_megapixels,
        libraries=library_versions(backend),
        views=str(Views.parse(spec.views)),
    )
