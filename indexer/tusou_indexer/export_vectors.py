"""Writes the vectors of images, texts or queries into files, and those of a bundle."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.manifest import FAILURES, IDS, VECTORS, Counts
from tusou.bundle.model_record import Model
from tusou.bundle.publication import lock_bundle
from tusou.bundle.shards import ShardStore
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, CorruptBundle, InvalidRequest
from tusou.core.files import naming_file, write_file
from tusou.core.hardware import cpu_count
from tusou.data import MissingPart, open_dataset, open_pool, split_source
from tusou.encoders import (
    ResolvedEncoder,
    Tower,
    find_license,
    find_weights,
    image_transform,
    open_image_encoder,
    open_text_encoder,
    resolve_encoder,
)
from tusou.images.preparation import Preparation
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.text.prompt import check_prompt
from tusou_indexer.build_inputs import BuildInputs, library_versions, open_source, source_stamp
from tusou_indexer.build_record import describe_preprocessing
from tusou_indexer.embed import embed_images, embed_texts
from tusou_indexer.export_queries import export_queries
from tusou_indexer.model_shards import ModelShards
from tusou_indexer.plan import Plan, make_plan, scan_source
from tusou_indexer.vector_folder import (
    WORK,
    EmbedReport,
    check_folder,
    origin_record,
    remove_finished,
    write_record,
)
from tusou_indexer.write_bundle import embedded_ids, write_failures, write_lines, write_vectors

_SHARD_ROWS, _BATCH_ROWS = 2048, 64  # as at indexing: the vectors are those of a bundle


@dataclass(frozen=True, slots=True)
class EmbedSpec:
    """The source, the model and the options of an export."""

    source: str  # a dataset, texts, a query file or a bundle
    model: str | None = None  # None for a bundle, which names its model
    queries: str | None = None  # of a bundle: encoded as its service does
    prompt: str | None = None  # template of texts
    device: str = "auto"
    precision: str = "auto"
    prepare: str = "none"
    interpret: bool = True  # subtract what a query of a bundle refuses
    workers: int | None = None  # decoding processes; None: one per core


def export_vectors(
    spec: EmbedSpec, out: Path, progress: Progress, *, force: bool = False
) -> EmbedReport:
    """Write vectors, ids and failures into the folder `out`; every row read is in one of the two.

    A killed run over a source is resumed. Raises InvalidRequest for options that do not fit the
    source, OutputExists when `out` holds something else or finished vectors, Locked, BadDataset
    when no row can be used, and CorruptBundle for a damaged bundle.
    """
    started = perf_counter()
    of_bundle = (Path(spec.source) / CURRENT).is_file()
    _check_options(spec, of_bundle=of_bundle)
    check_folder(out, force=force)
    with lock_bundle(out, "tusou embed"):
        remove_finished(out)
        if not of_bundle:
            kind, model, counts = _export_source(spec, out, progress, force=force)
        elif spec.queries is None:
            kind, model, counts = _export_bundle(Path(spec.source), out)
        else:
            root, options = Path(spec.source), (spec.device, spec.precision)
            model, counts = export_queries(
                root, spec.queries, out, progress, options, interpret=spec.interpret
            )
            kind = "queries"
        shutil.rmtree(out / WORK, ignore_errors=True)
    return EmbedReport(out, kind, model.dim, counts, perf_counter() - started)


def _check_options(spec: EmbedSpec, *, of_bundle: bool) -> None:
    if of_bundle and (spec.model is not None or spec.prompt is not None):
        raise InvalidRequest("a bundle has its model and prompt; leave out --model and --prompt")
    if not of_bundle and spec.model is None:
        raise InvalidRequest(f"{spec.source} is not a bundle; give the model that encodes it")
    if not of_bundle and spec.queries is not None:
        raise InvalidRequest("--queries belongs to a bundle; give the query file itself as SOURCE")
    if spec.prompt is not None:
        check_prompt(spec.prompt)
    Preparation.parse(spec.prepare)


def _export_source(
    spec: EmbedSpec, out: Path, progress: Progress, *, force: bool
) -> tuple[str, Model, Counts]:
    """Encode a source in shards, as an index build does, and join them."""
    # Shards do not say which prompt they were encoded with.
    prompt_digest = hashlib.sha256((spec.prompt or "").encode()).hexdigest()[:16]
    work = out / WORK / prompt_digest
    if force:
        shutil.rmtree(out / WORK, ignore_errors=True)
    source, of_queries = _items_of(spec.source, work)
    tower: Tower = "text" if open_pool(source).kind == "texts" else "image"
    if tower == "image" and spec.prompt is not None:
        raise InvalidRequest("--prompt is for texts, and the source holds images")
    assert spec.model is not None
    resolved = resolve_encoder(find_weights(spec.model), tower, spec.device, spec.precision)
    plan = _plan(_inputs(spec, source, resolved), work)
    store = ShardStore(work / "shards", plan.digest)
    _encode_missing(spec, plan, store, resolved, progress)
    counts = _join_shards(plan, store, out)
    kind = "queries" if of_queries else plan.kind
    model = _model(resolved)
    path, split = split_source(spec.source)
    origin = {
        **origin_record(kind, str(path.resolve()), model, spec.prompt),
        "split": split,
        "source_sha256": plan.sha256,
        "preprocessing": describe_preprocessing(plan.kind, spec.prepare, [model.encoder]),
        "precision": resolved.precision,
        "backend": resolved.backend,
        "libraries": plan.inputs.libraries,
    }
    write_record(out, origin, counts)
    return kind, model, counts


def _items_of(source: str, work: Path) -> tuple[str, bool]:
    """Return a source that `open_pool` reads, and whether it is made of queries in another form."""
    try:
        open_pool(source)
    except MissingPart:
        lines = open_dataset(source).query_lines()
        path = work / "queries.jsonl"
        # An unchanged file keeps its time, so that an interrupted run is resumed.
        if not path.is_file() or path.read_bytes() != lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, lines)
        return str(path), True
    return source, False


def _inputs(spec: EmbedSpec, source: str, resolved: ResolvedEncoder) -> BuildInputs:
    path, split = split_source(source)
    return BuildInputs(
        source=str(path.resolve()),
        split=split,
        stamp=source_stamp(path),
        model_sha256=resolved.weights.digest,
        device=spec.device,
        precision=resolved.precision,
        backend=resolved.backend,
        shard_rows=_SHARD_ROWS,
        batch_rows=_BATCH_ROWS,
        prepare=str(Preparation.parse(spec.prepare)),
        max_megapixels=MAX_MEGAPIXELS,
        libraries=library_versions(resolved.backend),
    )


def _plan(inputs: BuildInputs, work: Path) -> Plan:
    plan = Plan.matching(work / "plan", inputs)
    if plan is None:
        scan = scan_source(open_source(inputs))
        shutil.rmtree(work / "shards", ignore_errors=True)
        plan = make_plan(work / "plan", inputs, scan)
    return plan


def _encode_missing(
    spec: EmbedSpec, plan: Plan, store: ShardStore, resolved: ResolvedEncoder, progress: Progress
) -> None:
    if store.complete(plan.shard_count):
        progress.begin("encoding", len(plan), len(plan))
    elif resolved.tower == "text":
        embed_texts(plan, store, {}, open_text_encoder(resolved, spec.prompt), progress)
    else:
        workers = spec.workers or cpu_count()
        embed_images(plan, store, {}, open_image_encoder(resolved), workers, progress)


def _join_shards(plan: Plan, store: ShardStore, out: Path) -> Counts:
    """Write the vectors, ids and failures of all shards; BadDataset if no row can be used."""
    shards = [store.read(number) for number in range(plan.shard_count)]
    failed = write_failures(plan, shards, out / FAILURES)
    rows = np.concatenate([shard.rows for shard in shards])
    if not len(rows):
        raise BadDataset(f"no row can be used; the reasons are in {out / FAILURES}")
    write_lines(out / IDS, embedded_ids(plan, rows))
    write_vectors(ModelShards([store]), plan.shard_count, len(rows), out / VECTORS)
    return Counts(
        items=len(rows) + failed,
        embedded=len(rows),
        failed=failed,
        truncated=sum(shard.truncated for shard in shards),
        skipped=plan.skipped,
    )


def _export_bundle(root: Path, out: Path) -> tuple[str, Model, Counts]:
    """Copy the vectors and ids of a bundle's current version, without its live changes."""
    bundle = Bundle.open(root)
    for name in (VECTORS, IDS, FAILURES):
        if not bundle.is_intact(name):
            raise CorruptBundle(f"{bundle.path(name)} has changed; run `tusou index` again")
        with naming_file(out / name):
            shutil.copyfile(bundle.path(name), out / name)
    manifest = bundle.manifest
    origin = {
        **origin_record(manifest.items, str(root.resolve()), manifest.model, None),
        "version": bundle.version,
        "preprocessing": manifest.preprocessing,
        "build": manifest.build,
    }
    write_record(out, origin, manifest.counts)
    return manifest.items, manifest.model, manifest.counts


def _model(resolved: ResolvedEncoder) -> Model:
    weights = resolved.weights
    return Model(
        name=weights.name,
        location=weights.location,
        sha256=weights.digest,
        dim=resolved.shape.embed_dim,
        image_size=image_transform(weights).side,
        encoder=resolved.record,
        source=weights.source,
        named_license=None if resolved.record else find_license(weights),
    )
