"""Builds a bundle from a source and publishes it; resumes an interrupted build."""

import math
import os
import shutil
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, cast

from tusou import __version__
from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.manifest import FAILURES, Counts, IndexRecord
from tusou.bundle.old_versions import remove_old
from tusou.bundle.shards import ShardStore
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists
from tusou.core.files import replace_folder, sha256_of
from tusou.core.hardware import cpu_count
from tusou.core.lazy_import import LazyImport
from tusou.data import open_pool, split_source
from tusou.encoders import (
    DEMO,
    MODELS,
    ResolvedEncoder,
    Tower,
    Weights,
    find_weights,
    image_size,
    open_image_encoder,
    open_text_encoder,
    prepare_service,
    resolve_encoder,
)
from tusou.images.preparation import Preparation
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.indexes import faiss_device
from tusou.text.prompt import check_prompt
from tusou.text.script import hint_at_language
from tusou_indexer.embed import embed_images, embed_texts, sample_texts
from tusou_indexer.index.request import AUTO, IndexRequest
from tusou_indexer.plan import BuildInputs, Plan, make_plan
from tusou_indexer.publish import lock_bundle, publish
from tusou_indexer.published import find_equal, open_source, reuse_vectors
from tusou_indexer.write_bundle import BundleRecipe, write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusou_indexer.item_attributes import ItemAttributes

# With other sizes the last digits of the vectors would change, and so would every version.
SHARD_ROWS = 2048
BATCH_ROWS = 64

_WORK = ".build"
_READ_ATTRIBUTES = LazyImport("tusou_indexer.item_attributes:read_attributes")  # imports pyarrow
_LIBRARIES = ("cn-clip", "faiss-cpu", "faiss-gpu", "numpy", "pillow", "torch")


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """The source, the model and the options of a build."""

    source: str  # a path, with `#split` for one of several splits
    model: str
    index: str = AUTO  # `auto`, `auto:2GB`, `torch` or a FAISS factory string
    device: str = "auto"
    prompt: str | None = None
    max_bad: str = "1%"  # unusable lines to accept: a count, or a share
    workers: int | None = None  # decoding processes; None: one per core
    precision: str = "auto"
    target_recall: float | None = None
    strict_recall: bool = False  # publish no index below the target recall
    prepare: str = "none"  # `upright`, `white`, or both with a comma
    max_megapixels: int = MAX_MEGAPIXELS  # larger images are unusable
    attributes: Path | None = None  # a file of attributes of the items

    @property
    def index_request(self) -> IndexRequest:
        """The index to build, for the device where the service will search it."""
        return IndexRequest(self.index, self.target_recall, faiss_device(self.device) != "cpu")


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of a build."""

    bundle: Path
    version: str
    counts: Counts
    index: IndexRecord
    encoded: int  # items that this run encoded itself
    seconds: float

    @property
    def reused(self) -> int:
        """The items whose vectors an earlier run had encoded."""
        return self.counts.embedded - self.encoded


def build(spec: BuildSpec, out: Path, progress: Progress, *, force: bool = False) -> BuildReport:
    """Index a source into the bundle `out` and publish it.

    An interrupted build of the same inputs is resumed. If the same build is published already,
    nothing is done unless `force` is set. Raises Locked when another build is writing `out`,
    OutputExists when `out` holds something else, BadDataset when more lines are unusable than
    `max_bad` allows, and InvalidRequest for a wrong option or, in a strict build, for an index
    that misses its target of recall.
    """
    started = perf_counter()
    _allowed_failures(spec.max_bad, 0)
    if spec.prompt is not None:
        check_prompt(spec.prompt)
    Preparation.parse(spec.prepare)
    weights = find_weights(spec.model)
    _check_output(out)
    with lock_bundle(out):
        tower: Tower = "text" if open_pool(spec.source).kind == "texts" else "image"
        resolved = resolve_encoder(weights, tower, spec.device, spec.precision)
        spec.index_request.check(resolved.shape.embed_dim)
        inputs = _inputs(spec, resolved)
        recipe = _recipe(spec, weights)
        bundle = None if force else find_equal(out, inputs, recipe)
        encoded = 0
        if bundle is None:
            bundle, encoded = _build(spec, out, inputs, resolved, recipe, progress, force=force)
        else:
            _check_recall(spec, bundle.manifest.index)
            _remove_leftovers(out / _WORK, inputs)
            remove_old(out, bundle.version)
    seconds = perf_counter() - started
    manifest = bundle.manifest
    return BuildReport(out, bundle.version, manifest.counts, manifest.index, encoded, seconds)


def _build(
    spec: BuildSpec,
    out: Path,
    inputs: BuildInputs,
    resolved: ResolvedEncoder,
    recipe: BundleRecipe,
    progress: Progress,
    *,
    force: bool,
) -> tuple[Bundle, int]:
    work = out / _WORK
    attributes = None if spec.attributes is None else _read_attributes(spec.attributes)
    plan = None if force else Plan.matching(work / "plan", inputs)
    if plan is None:
        replace_folder(work)
        plan = make_plan(work / "plan", inputs, open_source(inputs))
    if plan.kind == "texts" and (hint := hint_at_language(sample_texts(plan))):
        progress.notice(hint)
    for sentence in plan.skipped_files:
        progress.notice(f"skipped {sentence}")
    for sentence in () if attributes is None else attributes.notices(plan):
        progress.notice(sentence)
    spec.index_request.check(resolved.shape.embed_dim, len(plan))
    store = ShardStore(work / "shards", plan.digest)
    if not force:
        reuse_vectors(out, plan, store, recipe)
    encoded = _embed(spec, plan, store, resolved, progress)
    manifest = write_bundle(plan, store, recipe, work / "version", attributes)
    counts = manifest.counts
    if counts.failed > _allowed_failures(spec.max_bad, counts.items):
        raise BadDataset(
            f"{counts.failed} of {counts.items} lines cannot be used, more than --max-bad "
            f"{spec.max_bad} allows; they are listed in {work / 'version' / FAILURES}"
        )
    _check_recall(spec, manifest.index)
    bundle = publish(out, work / "version")
    prepare_service(resolved.weights, spec.device)
    _remove_leftovers(work, inputs)
    return bundle, encoded


def _recipe(spec: BuildSpec, weights: Weights) -> BundleRecipe:
    is_name = spec.model in (*MODELS, DEMO)  # a path must be found from any folder
    location = spec.model if is_name else str(weights.path.resolve())
    return BundleRecipe(
        location,
        weights,
        spec.index_request,
        spec.prompt,
        image_size(weights),
        None if spec.attributes is None else sha256_of(spec.attributes),
    )


def _read_attributes(path: Path) -> "ItemAttributes":
    return cast("Callable[[Path], ItemAttributes]", _READ_ATTRIBUTES.load())(path)


def _check_recall(spec: BuildSpec, index: IndexRecord) -> None:
    """Raise InvalidRequest if the index misses the target and the build is strict."""
    if spec.strict_recall and index.missed_target:
        raise InvalidRequest(
            f"index_recall@10 is {index.index_recall_at_10:.4f}, below the target of "
            f"{index.target_recall:g}, so nothing was published; choose another --index or a lower "
            "--target-recall, or leave out --strict-recall"
        )


def _remove_leftovers(work: Path, inputs: BuildInputs) -> None:
    """Delete the working files of a published build; those of another build stay."""
    if not work.exists():
        return
    plan = Plan.read(work / "plan")
    if plan is None or plan.inputs == inputs:
        shutil.rmtree(work / "plan", ignore_errors=True)  # first: shards without it are not used
        shutil.rmtree(work)


def _embed(
    spec: BuildSpec, plan: Plan, store: ShardStore, resolved: ResolvedEncoder, progress: Progress
) -> int:
    """Encode the missing shards; return the items encoded. The encoder is freed on return."""
    if store.complete(plan.shard_count):
        progress.begin("encoding", len(plan), len(plan))
        return 0
    if plan.kind == "texts":
        text_encoder = open_text_encoder(resolved)  # without a prompt, which is for queries
        return embed_texts(plan, store, text_encoder, progress)
    image_encoder = open_image_encoder(resolved)
    spec.index_request.check(image_encoder.dim)
    workers = spec.workers or cpu_count()
    return embed_images(plan, store, image_encoder, workers, progress)


def _inputs(spec: BuildSpec, resolved: ResolvedEncoder) -> BuildInputs:
    path, split = split_source(spec.source)
    return BuildInputs(
        source=str(path.resolve()),
        split=split,
        stamp=_stamp(path),
        model_sha256=resolved.weights.digest,
        device=spec.device,
        precision=resolved.precision,
        backend=resolved.backend,
        shard_rows=SHARD_ROWS,
        batch_rows=BATCH_ROWS,
        prepare=str(Preparation.parse(spec.prepare)),
        max_megapixels=spec.max_megapixels,
        libraries=_libraries(resolved.backend),
    )


def _libraries(backend: str) -> dict[str, str]:
    """Return the versions of the libraries that a bundle's bytes depend on."""
    versions = {"tusou": __version__}
    for name in sorted({*_LIBRARIES, backend}):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # faiss-cpu or faiss-gpu, never both
            continue
    return versions


def _stamp(source: Path) -> str:
    """Return a digest of the names, sizes and modification times of the source's files."""
    stamp = blake2b(digest_size=16)
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        state = path.lstat()
        stamp.update(os.fsencode(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0"))
    return stamp.hexdigest()


def _check_output(out: Path) -> None:
    if out.is_file():
        raise OutputExists(f"{out} is a file; give the folder of a bundle to --out")
    if out.is_dir() and any(out.iterdir()):
        is_bundle = any((out / name).exists() for name in (CURRENT, _WORK, ".lock"))
        if not is_bundle:
            raise OutputExists(f"{out} holds something else than a bundle; give another --out")


def _allowed_failures(max_bad: str, lines: int) -> int:
    """Return how many of the lines may be unusable; InvalidRequest for other text."""
    is_share = max_bad.endswith("%")
    try:
        value = float(max_bad[:-1]) if is_share else int(max_bad)
    except ValueError:
        value = -1
    if not 0 <= value <= (100 if is_share else math.inf):  # False for NaN
        raise InvalidRequest(
            f"--max-bad {max_bad!r}: give a count such as 10 or a share such as 1%"
        )
    return int(lines * value / 100) if is_share else int(value)
