"""Published versions: finds one that equals a build, and vectors to reuse."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tusou.bundle.bundle import Bundle, current_version, is_version
from tusou.bundle.manifest import FAILURES, Manifest
from tusou.bundle.shards import Shard, ShardStore
from tusou.core.arrays import Vectors
from tusou.core.errors import ArtifactError
from tusou.data import ItemPool, open_pool
from tusou_indexer.plan import BuildInputs, Plan
from tusou_indexer.write_bundle import (
    INDEX_LIBRARIES,
    BundleRecipe,
    build_record,
    describe_preprocessing,
    encoding_record,
)

# Another device computes the same vectors except for their last digits. The manifest records the
# device that encoded them.
_DEVICE_KEYS = ("device", "backend", "openvino")
_INDEX_KEYS = ("index", "target_recall", "index_device", *INDEX_LIBRARIES)


def open_source(inputs: BuildInputs) -> ItemPool:
    """Return the source of a build, which is not read yet."""
    return open_pool(inputs.source if inputs.split is None else f"{inputs.source}#{inputs.split}")


def find_equal(root: Path, inputs: BuildInputs, recipe: BundleRecipe) -> Bundle | None:
    """Return the current version if building again would give the same bytes.

    The device that encoded the vectors, and the name of the file of attributes, may be other ones.
    """
    try:
        bundle = Bundle.open(root)
        bundle.verify()
    except ArtifactError:
        return None
    manifest = bundle.manifest
    record = _without(manifest.build, _DEVICE_KEYS)
    attributes = manifest.attribute_source and manifest.attribute_source.sha256
    same_build = (manifest.model.sha256, manifest.prompt, attributes, record) == (
        recipe.weights.digest,
        recipe.prompt,
        recipe.attributes_sha256,
        _without(build_record(inputs, recipe.index), _DEVICE_KEYS),
    )
    source = manifest.source
    if not same_build or (source.path, source.split) != (inputs.source, inputs.split):
        return None
    pool = open_source(inputs)
    for _ in pool.scan_in_time():
        pass  # the digest is complete after the scan
    return bundle if pool.sha256 == source.sha256 else None


def reuse_vectors(root: Path, plan: Plan, store: ShardStore, recipe: BundleRecipe) -> None:
    """Store every shard with the vectors of a published version of the same source, if any.

    Weights, preprocessing, precision and libraries must be the same; index, prompt and device may
    differ. Items that were unusable then are not tried again.
    """
    if store.complete(plan.shard_count):
        return
    for bundle in _versions(root):
        if _has_vectors_of(bundle.manifest, plan, recipe):
            shards = list(_shards_of(bundle, plan))
            if sum(len(shard.rows) for shard, _ in shards) == bundle.item_count:
                for number, (shard, vectors) in enumerate(shards):
                    store.write(number, shard, vectors)
                return


def _versions(root: Path) -> Iterator[Bundle]:
    """Yield every intact version, the current one first."""
    try:
        current = current_version(root)
    except ArtifactError:
        current = ""
    names = (path.name for path in root.iterdir() if is_version(path.name))
    for name in sorted(names, key=lambda name: (name != current, name)):
        try:
            bundle = Bundle.open(root, name)
            bundle.verify()
            bundle.check_parts()
        except ArtifactError:
            continue
        yield bundle


def _has_vectors_of(manifest: Manifest, plan: Plan, recipe: BundleRecipe) -> bool:
    keys = (*_DEVICE_KEYS, *_INDEX_KEYS)
    return (
        manifest.items == plan.kind
        and manifest.source.sha256 == plan.source.sha256
        and manifest.source.encoding == plan.source.encoding
        and manifest.model.sha256 == recipe.weights.digest
        and manifest.model.image_size == recipe.image_size
        and manifest.preprocessing == describe_preprocessing(plan)
        and _without(manifest.build, keys) == _without(encoding_record(plan.inputs), keys)
    )


def _shards_of(bundle: Bundle, plan: Plan) -> Iterator[tuple[Shard, Vectors]]:
    """Yield the plan's shards with the vectors of a version; they end where an id differs."""
    reasons = _reasons(bundle.path(FAILURES))
    encoding = _without(bundle.manifest.build, _INDEX_KEYS)
    truncated, key = bundle.manifest.counts.truncated, 0
    ids = plan.ids()
    for number in range(plan.shard_count):
        rows, failures, first = list[int](), [], key
        for row, item_id in zip(plan.shard(number), ids, strict=False):
            if key < bundle.item_count and str(bundle.ids.at(key)) == item_id:
                rows.append(row)
                key += 1
                continue
            failure = plan.failure(row, item_id, "")
            reason = reasons.get((failure.file, failure.line))
            if reason is None:
                return
            failures.append(replace(failure, reason=reason))
        checks = np.ascontiguousarray(bundle.spans[first:key, 3])
        shard = Shard(np.array(rows, np.int64), checks, failures, truncated, encoding)
        yield shard, bundle.vectors[first:key]  # mapped, so that all shards need no memory
        truncated = 0  # the version records only the total


def _reasons(path: Path) -> dict[tuple[str | None, int], str]:
    """Return the reason of each row of `failures.jsonl`, by file and line."""
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {(row.get("file"), row["line"]): row["reason"] for row in rows}


def _without(record: Mapping[str, str | int], keys: tuple[str, ...]) -> dict[str, str | int]:
    return {name: value for name, value in record.items() if name not in keys}
