"""From a pool to a published bundle; run again after a kill, it goes on."""

import os
import shutil
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

from tusou import __version__
from tusou.bundle.bundle import CURRENT, FAILURES, Bundle
from tusou.bundle.manifest import Counts
from tusou.bundle.shards import ShardStore
from tusou.cli.progress import Progress
from tusou.core.errors import ArtifactError, BadDataset, InvalidRequest, OutputExists
from tusou.core.files import replace_folder
from tusou.data import ItemPool, open_pool, split_place
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
from tusou.images.workers import Decoder
from tusou.indexes import faiss_device
from tusou.text.normalize import check_prompt
from tusou_indexer.embed import embed
from tusou_indexer.image_batches import image_batches
from tusou_indexer.index.request import AUTO, IndexRequest
from tusou_indexer.plan import Inputs, Plan, make_plan
from tusou_indexer.publish import only_writer, publish
from tusou_indexer.text_batches import text_batches
from tusou_indexer.write_bundle import Recipe, assemble, build_record

# Fixed for good: other sizes would give other last digits of the vectors.
SHARD_ROWS = 2048
BATCH_ROWS = 64

_WORK = ".build"
_LIBRARIES = ("cn-clip", "faiss-cpu", "faiss-gpu", "numpy", "pillow", "torch")


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """What to build from what."""

    place: str  # a path, with `#split` where several are there
    model: str
    factory: str = AUTO
    device: str = "auto"
    prompt: str | None = None
    max_bad: str = "1%"  # a count of lines, or a share of them
    workers: int | None = None  # decoding processes; None is one a core
    precision: str = "auto"
    target_recall: float | None = None

    @property
    def index(self) -> IndexRequest:
        """Say what index to build, for where the service will search it."""
        return IndexRequest(self.factory, self.target_recall, faiss_device(self.device) != "cpu")


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did; `encoded` counts the rows this run encoded itself."""

    bundle: Path
    version: str
    counts: Counts
    encoded: int
    seconds: float


def build(spec: BuildSpec, out: Path, watcher: Progress, *, force: bool = False) -> BuildReport:
    """Index the pool at a place into the bundle `out` and publish it.

    An interrupted build of the same inputs goes on where it was; one that is published already
    is left alone unless forced. Raises Locked when another build is writing there, and BadDataset
    when more lines are bad than `max_bad` allows.
    """
    started = perf_counter()
    _allowed(spec.max_bad, 0)
    if spec.prompt is not None:
        check_prompt(spec.prompt)
    weights = find_weights(spec.model)
    _refuse_strange_folder(out)
    with only_writer(out):
        tower: Tower = "text" if open_pool(spec.place).kind == "texts" else "image"
        resolved = resolve_encoder(weights, tower, spec.device, spec.precision)
        inputs = _inputs(spec, resolved)
        bundle = None if force else _published(out, inputs, spec, weights)
        encoded = 0
        if bundle is None:
            bundle, encoded = _build(spec, out, inputs, resolved, watcher, force=force)
    seconds = perf_counter() - started
    return BuildReport(out, bundle.version, bundle.manifest.counts, encoded, seconds)


def _build(
    spec: BuildSpec,
    out: Path,
    inputs: Inputs,
    resolved: ResolvedEncoder,
    watcher: Progress,
    *,
    force: bool,
) -> tuple[Bundle, int]:
    work, weights = out / _WORK, resolved.weights
    plan = None if force else Plan.matching(work / "plan", inputs)
    if plan is None:
        replace_folder(work)
        plan = make_plan(work / "plan", inputs, _open(inputs))
    store = ShardStore(work / "shards")
    encoded = _embed(spec, plan, store, resolved, watcher)
    location, size = _location(spec.model, weights), image_size(weights)
    recipe = Recipe(location, weights, spec.index, spec.prompt, size)
    counts = assemble(plan, store, recipe, work / "version").counts
    if counts.failed > _allowed(spec.max_bad, counts.items):
        raise BadDataset(
            f"{counts.failed} of {counts.items} lines cannot be used, more than --max-bad "
            f"{spec.max_bad} allows; they are listed in {work / 'version' / FAILURES}"
        )
    bundle = publish(out, work / "version")
    prepare_service(weights, spec.device)
    shutil.rmtree(work)
    return bundle, encoded


def _embed(
    spec: BuildSpec, plan: Plan, store: ShardStore, resolved: ResolvedEncoder, watcher: Progress
) -> int:
    """Encode what is missing; the tower is gone from memory when this returns."""
    files, encoding = plan.paths, plan.source.encoding
    if plan.kind == "texts":  # as they are: a prompt is for queries
        reader = open_text_encoder(resolved)
        spec.index.check(reader.dim)
        return embed(plan, store, text_batches(files, encoding, reader), watcher)
    seer = open_image_encoder(resolved)
    spec.index.check(seer.dim)
    workers = spec.workers or os.cpu_count() or 1
    with Decoder(files, encoding, seer.image_size, workers) as decoder:
        return embed(plan, store, image_batches(decoder, seer), watcher)


def _location(model: str, weights: Weights) -> str:
    """Say what finds the weights again from any folder."""
    return model if model in (*MODELS, DEMO) else str(weights.path.resolve())


def _inputs(spec: BuildSpec, resolved: ResolvedEncoder) -> Inputs:
    path, split = split_place(spec.place)
    return Inputs(
        source=str(path.resolve()),
        split=split,
        stamp=_stamp(path),
        model_sha256=resolved.weights.digest,
        device=spec.device,
        precision=resolved.precision,
        backend=resolved.backend,
        shard_rows=SHARD_ROWS,
        batch_rows=BATCH_ROWS,
        libraries=_libraries(resolved.backend),
    )


def _libraries(backend: str) -> dict[str, str]:
    """Name the versions that decide a bundle's bytes."""
    found = {"tusou": __version__}
    for name in sorted({*_LIBRARIES, backend}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # faiss-cpu or faiss-gpu, never both
            continue
    return found


def _published(out: Path, inputs: Inputs, spec: BuildSpec, weights: Weights) -> Bundle | None:
    """Return the current version if building again would give the same bytes."""
    try:
        bundle = Bundle.open(out)
        bundle.verify()
    except ArtifactError:
        return None
    made = bundle.manifest
    same_way = (made.model.sha256, made.prompt, made.build) == (
        weights.digest,
        spec.prompt,
        build_record(inputs, spec.index),
    )
    same_place = (made.source.path, made.source.split) == (inputs.source, inputs.split)
    return bundle if same_way and same_place and _digest(inputs) == made.source.sha256 else None


def _open(inputs: Inputs) -> ItemPool:
    return open_pool(inputs.source if inputs.split is None else f"{inputs.source}#{inputs.split}")


def _digest(inputs: Inputs) -> str:
    pool = _open(inputs)
    for _ in pool.scan():
        pass
    return pool.sha256


def _stamp(place: Path) -> str:
    """Fingerprint what lies at a place without reading it: names, sizes and times of change."""
    stamp = blake2b(digest_size=16)
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        state = path.lstat()
        stamp.update(os.fsencode(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0"))
    return stamp.hexdigest()


def _refuse_strange_folder(out: Path) -> None:
    if out.is_file():
        raise OutputExists(f"{out} is a file; give the folder of a bundle to --out")
    if out.is_dir() and any(out.iterdir()):
        ours = any((out / name).exists() for name in (CURRENT, _WORK, ".lock"))
        if not ours:
            raise OutputExists(f"{out} holds something else than a bundle; give another --out")


def _allowed(max_bad: str, lines: int) -> int:
    number = max_bad.removesuffix("%")
    try:
        value = float(number) if max_bad.endswith("%") else int(number)
    except ValueError:
        value = -1
    if not value >= 0:
        raise InvalidRequest(
            f"--max-bad {max_bad!r}: give a count such as 10 or a share such as 1%"
        )
    return int(lines * value / 100) if max_bad.endswith("%") else int(value)
