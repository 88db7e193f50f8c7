"""The manifest's records of a build: index, encoding, preprocessing and reused vectors."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from tusou.bundle.manifest import ReusedVectors
from tusou.bundle.model_record import EncoderRecord
from tusou.bundle.shards import ReusedRows, Shard
from tusou.core.ids import ItemKind
from tusou.encoders import join_names, split_names
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.plan import Plan

INDEX_LIBRARIES = ("faiss-cpu", "faiss-gpu")
PREPROCESSING = {
    "images": "cn_clip: square bicubic resize, then RGB",
    "texts": "cn_clip: lower case, straight double quotes, 52 tokens",
}

Encoding = dict[str, str | int]

# Settings of which each model of an ensemble may have its own.
_MODEL_KEYS = ("device", "precision", "backend")


def describe_preprocessing(
    kind: ItemKind, steps: str, encoders: Iterable[EncoderRecord | None]
) -> str:
    """Return the manifest's record of the preprocessing of items, by one model or several."""
    before = "" if kind == "texts" or steps == "none" else f"{steps}; "
    describe = _describe_texts if kind == "texts" else _describe_images
    by_model = (describe(record) if record else PREPROCESSING[kind] for record in encoders)
    return before + "; ".join(dict.fromkeys(by_model))


def _describe_texts(record: EncoderRecord) -> str:
    case = ", lower case" if record.lower_case else ""
    return f"{record.family}: {record.tokenizer}{case}, {record.context_length} tokens"


def _describe_images(record: EncoderRecord) -> str:
    transform = record.transform
    resize = f"square {transform.interpolation} resize"
    if transform.fit == "crop":
        shorter = transform.shorter_side or transform.side
        resize = f"{transform.interpolation} resize of the shorter side to {shorter}, crop"
    steps = ("RGB", resize) if transform.rgb_first else (resize, "RGB")
    return f"{record.family}: {', then '.join(steps)}"


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
    """Return how many rows of all shards of a model came from each version."""
    totals: dict[str, ReusedRows] = {}
    for rows in chain.from_iterable(shard.reused for shard in shards):
        so_far = totals.get(rows.version)
        items = rows.items + (so_far.items if so_far else 0)
        totals[rows.version] = replace(rows, items=items)
    return list(totals.values())


def merge_reused(reused: Iterable[ReusedRows]) -> list[ReusedRows]:
    """Return each version once, with the most items of which a model's vectors came from it."""
    most: dict[str, ReusedRows] = {}
    for rows in reused:
        if rows.version not in most or most[rows.version].items < rows.items:
            most[rows.version] = rows
    return list(most.values())


def model_encoding(encoding: Encoding, number: int, count: int) -> Encoding:
    """Return how one of `count` models encoded, from the record of all of them."""
    alone = {name: split_names(str(encoding[name]), count)[number] for name in _MODEL_KEYS}
    unused = set() if alone["backend"] == "openvino" else {"openvino"}
    return {name: alone.get(name, value) for name, value in encoding.items() if name not in unused}


def describe_reuse(
    plan: Plan, reused: Sequence[Sequence[ReusedRows]], embedded: int
) -> tuple[Encoding, tuple[ReusedVectors, ...]]:
    """Return the encoding to record, and the versions whose vectors may differ in last digits.

    `reused` are the rows of each model that came from other versions. Vectors that encoding the
    items again would give must leave no trace: the bundle is then byte for byte that of a build
    without reuse. If all vectors of a model come from one version, they are recorded as that
    version encoded them.
    """
    ours, count = encoding_record(plan.inputs), len(reused)
    own = [model_encoding(ours, number, count) for number in range(count)]
    theirs = [_only_encoding(rows, embedded) for rows in reused]
    encodings = [found or alone for found, alone in zip(theirs, own, strict=True)]
    joined = ours if encodings == own else _join_encodings(encodings)
    if joined is None:  # versions with several libraries cannot be recorded as one
        joined, encodings = ours, own
    differing = [
        rows
        for encoding, of_model in zip(encodings, reused, strict=True)
        for rows in of_model
        if not (
            rows.exact
            and rows.encoding == encoding
            and (plan.kind == "images" or rows.items == embedded)
        )
    ]
    named = [
        ReusedVectors(version=each.version, items=each.items) for each in merge_reused(differing)
    ]
    return joined, tuple(named)


def _only_encoding(reused: Sequence[ReusedRows], embedded: int) -> Encoding | None:
    """Return how the one version encoded that all vectors come from; None if there are others."""
    alone = len(reused) == 1 and reused[0].items == embedded
    return reused[0].encoding if alone else None


def _join_encodings(encodings: Sequence[Encoding]) -> Encoding | None:
    """Return the record of several models; None if they had different libraries or settings."""
    joined = dict(encodings[0])
    for encoding in encodings[1:]:
        for name, value in encoding.items():
            if joined.setdefault(name, value) != value and name not in _MODEL_KEYS:
                return None
    names = {key: join_names([str(each[key]) for each in encodings]) for key in _MODEL_KEYS}
    return {**joined, **names}
