"""Writes one version of a bundle from finished shards."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tusou import __version__
from tusou.bundle.array_file import array_header, map_array, save_array
from tusou.bundle.content import CONTENT
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
)
from tusou.bundle.manifest_file import file_records, write_manifest
from tusou.bundle.model_record import Model
from tusou.bundle.shards import ReusedRows, Shard
from tusou.bundle.stages import Stages
from tusou.bundle.vector_file import VECTOR_TYPE
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import BadDataset, CorruptBundle
from tusou.core.files import create_file, naming_file, replace_folder
from tusou.core.ids import is_canonical_integer
from tusou.encoders import TextEncoder, Weights, combine_text_encoders, load_reference_text_encoder
from tusou_indexer.build_record import (
    build_record,
    describe_preprocessing,
    describe_reuse,
    reused_versions,
)
from tusou_indexer.hub_files import correct_hubs
from tusou_indexer.index.recall_probes import image_probes, text_probes
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.model_shards import ModelShards
from tusou_indexer.plan import Plan
from tusou_indexer.query_bank import QueryBank
from tusou_indexer.version_collection import build_version_index

if TYPE_CHECKING:
    from tusou_indexer.item_attributes import ItemAttributes

# Short, long, Latin, digits, curly quotes, longer than the model reads: where tokenizers differ.
GOLDEN_TEXTS = (
    "纯棉碎花吊带裙",
    "北欧轻奢边几",
    "男士黑色皮鞋",
    "圣诞 抱枕",
    "32不粘锅",
    "iPhone15手机壳",
    "“复古”风 A字裙",
    "适合小个子女生夏天穿的" * 8,
)


@dataclass(frozen=True, slots=True)
class BundleRecipe:
    """Everything beside the shards that the bytes of a version depend on."""

    model: Model
    weights: tuple[Weights, ...]  # of each model, one or those of an ensemble
    index: IndexRequest
    prompts: tuple[str, ...] = ()
    attributes_sha256: str | None = None  # of the file of attributes
    live_position: int = 0  # of the last live change that is not applied to the version
    bank: QueryBank | None = None  # by which hubs are corrected


def write_bundle(
    plan: Plan,
    store: ModelShards,
    recipe: BundleRecipe,
    folder: Path,
    attributes: "ItemAttributes | None" = None,
) -> Manifest:
    """Write every file of a version into `folder`, the manifest last.

    Raises BadDataset when no item can be used, InvalidRequest when no index fits the request, and
    CorruptBundle when rows of the plan are in none of its files.
    """
    plan.verify()
    replace_folder(folder)
    shards = [store.read(number) for number in range(plan.shard_count)]
    failures = write_failures(plan, shards, folder / FAILURES)
    rows = np.concatenate([shard.rows for shard in shards])
    if not len(rows):
        path = folder / FAILURES
        raise BadDataset(f"no item can be used ({_first_failure(path)}); the reasons are in {path}")
    if len(rows) + failures != plan.rows_read:
        raise CorruptBundle(
            f"{plan.rows_read} rows read, but {len(rows)} indexed and {failures} listed; run "
            "`tusou index` again with --force"
        )
    id_type = _write_ids(plan, rows, folder / IDS)
    if attributes is not None:
        attributes.of_items(embedded_ids(plan, rows)).write(folder / ATTRIBUTES)
    checks = np.concatenate([shard.checks for shard in shards])
    save_array(folder / SPANS, np.column_stack([plan.spans(range(len(plan)))[rows, 1:], checks]))
    save_array(folder / CONTENT, np.concatenate([shard.contents for shard in shards]))
    write_lines(folder / FILES, [json.dumps(plan.files)])
    vectors = write_vectors(store, plan.shard_count, len(rows), folder / VECTORS)
    # The golden vectors are the reference for every precision, so they are in single precision.
    encoder = load_reference_encoder(recipe.weights, recipe.model, recipe.prompts)
    golden = {
        "texts": GOLDEN_TEXTS,
        "vectors": encoder.encode(encoder.prepare(GOLDEN_TEXTS)).tolist(),
    }
    write_lines(folder / GOLDEN, [json.dumps(golden, ensure_ascii=False)])
    # Most queries are of the other kind than the items, and their vectors lie elsewhere.
    is_images = plan.kind == "images"
    probes = (
        partial(text_probes, encoder)
        if is_images
        else partial(image_probes, recipe.weights, [model.weight for model in recipe.model.parts])
    )
    correction = None if recipe.bank is None else recipe.bank.correction(encoder)
    searched = correct_hubs(vectors, correction, folder)
    built = build_version_index(searched, recipe.index, probes, folder)
    with naming_file(folder / INDEX):
        built.index.save(folder / INDEX)
    reused_rows = reused_by_model(store, plan.shard_count)
    encoding, reused = describe_reuse(plan, reused_rows, len(rows))
    manifest = Manifest(
        format=FORMAT,
        tool=f"tusou {__version__}",
        items=plan.kind,
        source=plan.source,
        model=recipe.model,
        preprocessing=describe_preprocessing(
            plan.kind, plan.inputs.prepare, [part.encoder for part in recipe.model.parts]
        ),
        prompt=recipe.prompts[0] if len(recipe.prompts) == 1 else None,
        prompts=recipe.prompts if len(recipe.prompts) > 1 else (),
        views=plan.inputs.views,
        id_type=id_type,
        counts=Counts(
            items=len(rows) + failures,
            embedded=len(rows),
            failed=failures,
            truncated=sum(shard.truncated for shard in shards),
            skipped=plan.skipped,
        ),
        index=built.record,
        build=build_record(plan.inputs, recipe.index, encoding),
        reused=reused,
        live_position=recipe.live_position,
        stages=Stages(hub=None if recipe.bank is None else recipe.bank.record),
        files=file_records(folder),
        attributes=None if attributes is None else dict(attributes.table.schema),
        attribute_source=None if attributes is None else attributes.source(plan),
    )
    write_manifest(manifest, folder)
    return manifest


def load_reference_encoder(
    weights: Sequence[Weights], model: Model, prompts: Sequence[str]
) -> TextEncoder:
    """Load the text towers on the CPU in single precision, in which golden vectors are."""
    towers = [load_reference_text_encoder(each) for each in weights]
    parts = model.parts
    records = [part.encoder for part in parts]
    return combine_text_encoders(towers, [part.weight for part in parts], prompts, records)


def reused_by_model(store: ModelShards, shards: int) -> list[list[ReusedRows]]:
    """Return what each model's vectors were taken from, of the first `shards` shards."""
    return [reused_versions(map(each.read, range(shards))) for each in store.stores]


def write_failures(plan: Plan, shards: list[Shard], path: Path) -> int:
    """List every row that could not be used, by line; return their number."""
    failures = [*plan.failures, *chain.from_iterable(shard.failures for shard in shards)]
    failures.sort(key=lambda failure: failure.line)
    write_lines(path, (json.dumps(bad.record(), ensure_ascii=False) for bad in failures))
    return len(failures)


def _first_failure(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        failure = json.loads(file.readline())
    return f"line {failure['line']}: {failure['reason']}"


def _write_ids(plan: Plan, rows: Ids, path: Path) -> Literal["int", "str"]:
    write_lines(path, embedded_ids(plan, rows))
    return "int" if all(map(is_canonical_integer, embedded_ids(plan, rows))) else "str"


def embedded_ids(plan: Plan, rows: Ids) -> Iterator[str]:
    """Yield the ids of these rows of the plan, in order."""
    embedded = np.zeros(len(plan), np.bool_)
    embedded[rows] = True
    return compress(plan.ids(), embedded)


def write_vectors(store: ModelShards, shards: int, count: int, path: Path) -> Vectors:
    """Concatenate the shards' vectors in one file; return them mapped from it."""
    shape = count, store.vectors(0).shape[1]
    with create_file(path) as file:
        file.write(array_header(VECTOR_TYPE, shape))
        for number in range(shards):
            file.write(np.ascontiguousarray(store.vectors(number), VECTOR_TYPE).data)
    return map_array(path, VECTOR_TYPE, shape)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines durably, in UTF-8."""
    with create_file(path) as file:
        file.writelines(f"{line}\n".encode() for line in lines)
