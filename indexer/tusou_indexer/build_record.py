"""The manifest's records of a build: index, encoding, preprocessing and reused vectors."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from tusou.bundle.manifest import ReusedVectors
from tusou.bundle.shards import ReusedRows, Shard
from tusou.core.ids import ItemKind
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.plan import Plan

INDEX_LIBRARIES = ("faiss-cpu", "faiss-gpu")
PREPROCESSING = {
    "images": "cn_clip: square bicubic resize, then RGB",
    "texts": "cn_clip: lower case, straight double quotes, 52 tokens",
}

Encoding = dict[str, str | int]


def describe_preprocessing(kind: ItemKind, steps: str) -> str:
    """Return the manifest's record of the preprocessing of items."""
    before = "" if kind == "texts" or steps == "none" else f"{steps}; "
    return before + PREPROCESSING[kind]


def build_record(
    inputs: BuildInputs, request: IndexRequest, encoding: Encoding | None = None
) -> Encoding:
    """Return the manifest's record of a build, with the encoding of reused vectors if given.

    Equal records, sources and weights give equal bytes.
    """
    recall = request.target_recall
    return {
        "index": request.name,
        "target_recall": "default" if recall is None else f"{recall:g}",
        "index_device": "gpu" if request.on_gpu else "cpu",
        **(encoding or encoding_record(inputs)),
        **{name: number for name, number in inputs.libraries.items() if name in INDEX_LIBRARIES},
    }


def encoding_record(inputs: BuildInputs) -> Encoding:
    """Return the part of the record that the bytes of the vectors depend on."""
    libraries = inputs.libraries.items()
    return {
        "device": inputs.device,
        "precision": inputs.precision,
        "backend": inputs.backend,
        "shard_rows": inputs.shard_rows,
        "batch_rows": inputs.batch_rows,
        "prepare": inputs.prepare,
        "max_megapixels": inputs.max_megapixels,
        **{name: number for name, number in libraries if name not in INDEX_LIBRARIES},
    }


def reused_versions(shards: Iterable[Shard]) -> list[ReusedRows]:
    """Return how many rows of all shards came from each version."""
    totals: dict[str, ReusedRows] = {}
    for rows in chain.from_iterable(shard.reused for shard in shards):
        so_far = totals.get(rows.version)
        items = rows.items + (so_far.items if so_far else 0)
        totals[rows.version] = replace(rows, items=items)
    return list(totals.values())


def describe_reuse(
    plan: Plan, reused: Sequence[ReusedRows], embedded: int
) -> tuple[Encoding, tuple[ReusedVectors, ...]]:
    """Return the encoding to record, and the versions whose vectors may differ in last digits.

    Vectors that encoding the items again would give must leave no trace: the bundle is then byte
    for byte that of a build without reuse. If all vectors come from one version, they are recorded
    as that version encoded them.
    """
    ours = encoding_record(plan.inputs)
    if len(reused) == 1 and reused[0].items == embedded:
        ours, differing = reused[0].encoding, [rows for rows in reused if not rows.exact]
    else:
        images = plan.kind == "images"
        differing = [
            rows for rows in reused if not (images and rows.exact and rows.encoding == ours)
        ]
    return ours, tuple(ReusedVectors(version=rows.version, items=rows.items) for rows in differing)
