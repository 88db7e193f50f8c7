"""Finds the items of a source whose vectors published versions hold, by their content."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.bundle import Bundle
from tusou.bundle.content import (
    CONTENT,
    DIGEST_BYTES,
    ContentDigests,
    content_digest,
    decode_content,
    read_content_digests,
)
from tusou.bundle.item_reader import ItemReader
from tusou.bundle.shards import ReusedRows, ShardStore
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import BadDataset, BadImage
from tusou.core.unit_vectors import part_scale
from tusou.encoders import ResolvedEncoder
from tusou.encoders.base import Tokenizer
from tusou_indexer.build_inputs import BuildInputs
from tusou_indexer.build_record import model_encoding
from tusou_indexer.plan import Plan
from tusou_indexer.published import encoding_of, find_model
from tusou_indexer.shard_assembly import MatchedRows, assemble_shard, unmatched_rows
from tusou_indexer.write_bundle import BundleRecipe

_Digests = npt.NDArray[np.bytes_]  # (n,), as numpy can sort them


@dataclass(frozen=True, slots=True)
class ModelVectors:
    """The vectors of one model in a version, scaled as the build's own."""

    stored: Vectors  # of all models of the version, (n, d)
    columns: slice
    factor: np.float32 | None  # None: they are as the build needs them

    def __getitem__(self, keys: Ids) -> Vectors:
        """Return the vectors of row keys."""
        vectors = self.stored[keys, self.columns]
        return vectors if self.factor is None else vectors * self.factor


class ReusableVersion:
    """The vectors of one model in an intact version, by the content of their items.

    Opens the files now, so that they can be read when another build has deleted the version.
    """

    def __init__(self, bundle: Bundle, number: int, weight: float) -> None:
        """`number` is the model in the version, `weight` its weight in the build."""
        digests = _sortable(read_content_digests(bundle.path(CONTENT), bundle.item_count))
        self._order = np.argsort(digests, kind="stable")  # of equal items the first is taken
        self._digests = digests[self._order]
        self.name, self.manifest = bundle.version, bundle.manifest
        models = bundle.manifest.model.parts
        start, model = sum(each.dim for each in models[:number]), models[number]
        factor = None
        if model.weight != weight:
            factor = part_scale(weight) / part_scale(model.weight)
        self.vectors = ModelVectors(bundle.vectors, slice(start, start + model.dim), factor)
        self.encoding = model_encoding(encoding_of(bundle.manifest), number, len(models))
        # Scaling anew rounds, except from the vectors of a model alone, which are not scaled.
        self.same_digits = not bundle.manifest.reused and model.weight in {weight, 1.0}

    def find(self, digests: _Digests) -> Ids:
        """Return the row keys of the items with these digests, -1 where there is none."""
        places = np.minimum(np.searchsorted(self._digests, digests), len(self._digests) - 1)
        return np.where(self._digests[places] == digests, self._order[places], -1)


def versions_with(
    bundles: Callable[[], Sequence[Bundle]], inputs: BuildInputs, recipe: BundleRecipe, number: int
) -> Iterator[ReusableVersion]:
    """Yield the versions that hold vectors of one of the models of a build."""
    weight = recipe.model.parts[number].weight
    for bundle in bundles():
        place = find_model(bundle.manifest, inputs, recipe, number)
        if place is not None:
            yield ReusableVersion(bundle, place, weight)


def reuse_vectors(
    plan: Plan,
    store: ShardStore,
    found: Iterable[ReusableVersion],
    encoder: ResolvedEncoder,
    progress: Progress,
    *,
    independent: bool,
) -> Mapping[int, MatchedRows]:
    """Store each shard whose items published versions hold; return what they hold of the others.

    All versions in `found` are intact and encoded as the plan's build does, with the model of
    `encoder`; where several hold an item, the first is taken. `independent`:
    vectors do not depend on what shares their batch. Items that could not be used then are left to
    be encoded.
    """
    partial: dict[int, MatchedRows] = {}
    missing = [number for number in range(plan.shard_count) if not store.has(number)]
    versions = list(found) if missing else []
    if not versions:
        return partial
    tokenizer = cache(encoder.open_tokenizer)
    dim = encoder.shape.embed_dim
    progress.begin("comparing", sum(len(plan.shard(number)) for number in missing))
    with ItemReader(plan.paths) as reader:
        for number in missing:
            matched = _match(plan, number, reader, versions, tokenizer, independent=independent)
            if len(unmatched_rows(plan, number, matched)):
                partial[number] = matched
            else:
                store.write(number, *assemble_shard(plan, number, matched, iter(()), dim))
            progress.advance(len(plan.shard(number)))
    return partial


def _match(
    plan: Plan,
    number: int,
    reader: ItemReader,
    versions: Sequence[ReusableVersion],
    tokenizer: Callable[[], Tokenizer],
    *,
    independent: bool,
) -> MatchedRows:
    checks, contents, texts = _read_shard(plan, number, reader)
    owners, keys = _find(versions, _sortable(contents))
    rows = np.flatnonzero(keys >= 0)
    vectors, reused = [], []
    for position, version in enumerate(versions):
        mine = np.flatnonzero(owners[rows] == position)
        if len(mine):
            vectors.append((mine, version.vectors, keys[rows[mine]]))
            exact = _is_exact(version, plan, independent=independent)
            reused.append(ReusedRows(version.name, len(mine), version.encoding, exact))
    known = [texts[row] for row in rows.tolist()] if texts else []
    truncated = sum(tokenizer().prepare(known).truncated) if known else 0
    start = plan.shard(number).start
    return MatchedRows(rows + start, checks[rows], contents[rows], vectors, reused, truncated)


def _find(versions: Sequence[ReusableVersion], digests: _Digests) -> tuple[Ids, Ids]:
    """Return the position of the first version that holds each item, and the row key; or -1."""
    owners, keys = (np.full(len(digests), -1, np.int64) for _ in range(2))
    for position, version in enumerate(versions):
        left = np.flatnonzero((keys < 0) & (digests != b""))  # empty: the row has no content
        keys[left] = matches = version.find(digests[left])
        owners[left[matches >= 0]] = position
    return owners, keys


def _read_shard(
    plan: Plan, number: int, reader: ItemReader
) -> tuple[Ids, ContentDigests, list[str]]:
    """Return checksum and digest of each row, all zero where it has no content; and the texts."""
    shard, kind, encoding = plan.shard(number), plan.kind, plan.source.encoding
    checks = np.zeros(len(shard), np.int64)
    contents = np.zeros((len(shard), DIGEST_BYTES), np.uint8)
    texts: list[str] = []
    for place, (_, *span) in enumerate(plan.spans(shard).tolist()):
        content = b""
        with suppress(BadImage, BadDataset, OSError):  # encoding it will tell
            stored = reader.read(*span)
            content = decode_content(stored, kind, encoding)
            checks[place] = crc32(stored)
            contents[place] = np.frombuffer(content_digest(content), np.uint8)
        if kind == "texts":
            texts.append(content.decode(errors="surrogatepass"))
    return checks, contents, texts


def _is_exact(version: ReusableVersion, plan: Plan, *, independent: bool) -> bool:
    """Return whether encoding the items again as a version did would give the same bytes."""
    same_source = version.manifest.source.sha256 == plan.source.sha256
    return version.same_digits and (independent or same_source)


def _sortable(contents: ContentDigests) -> _Digests:
    return np.ascontiguousarray(contents).view(f"S{DIGEST_BYTES}").reshape(-1)
