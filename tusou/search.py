"""SearchPipeline: what the service runs and what evaluation measures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Self

import numpy as np

from tusou.bundle import INDEX, Bundle
from tusou.encoders import QueryMemory, TextEncoder, Weights, find_weights, load_text_encoder
from tusou.errors import IncompatibleBundle, InvalidRequest
from tusou.indexes import VectorIndex, index_device, load_index
from tusou.manifest import Model
from tusou.types import ItemId, Neighbors

# Precisions and processors may differ between the indexer and here; another model differs by far.
_GOLDEN_COSINE = 0.99


@dataclass(frozen=True, slots=True)
class Hits:
    """One query's answer, best first."""

    item_ids: tuple[ItemId, ...]
    scores: tuple[float, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that one batch spent in each stage."""

    tokenise: float
    encode: float
    search: float


@dataclass(frozen=True, slots=True)
class Answers:
    """What one batch of queries found."""

    hits: tuple[Hits, ...]
    times: StageTimes
    remembered: int = 0  # queries whose vector was known from before


class SearchPipeline:
    """Encode queries, find the nearest pictures, name the items.

    One call at a time: the owner of the pipeline is its only caller.
    """

    def __init__(
        self, bundle: Bundle, encoder: TextEncoder, index: VectorIndex, remember: int = 0
    ) -> None:
        self.bundle = bundle
        self._encoder, self._index = encoder, index
        self._memory = QueryMemory(encoder, remember)

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        device: str = "auto",
        model: str | None = None,
        precision: str = "auto",
        remember: int = 0,
    ) -> Self:
        """Open the version that CURRENT names, once every byte of it is verified.

        `remember` is the number of queries whose vectors are kept for when they come again.

        `model` says where the weights are when not where the manifest's model name leads.
        Raises CorruptBundle, and IncompatibleBundle when the weights are not the ones that
        encoded the pictures or do not give the golden texts their stored vectors.
        """
        bundle = Bundle.open(root)
        bundle.verify()
        manifest = bundle.manifest
        weights = _find_weights(manifest.model, model)
        if weights.digest != manifest.model.sha256:
            raise IncompatibleBundle(
                f"the bundle was made with weights {manifest.model.name} "
                f"({manifest.model.sha256[:12]}), found {weights.name} ({weights.digest[:12]}); "
                "give the right model with --model, or index again"
            )
        encoder = load_text_encoder(weights, device, manifest.prompt, precision)
        index = load_index(manifest.index.spec, bundle.path(INDEX), index_device(device))
        pipeline = cls(bundle, encoder, index, remember)
        pipeline.check()
        return pipeline

    @property
    def precision(self) -> str:
        """Say in which precision queries are encoded: fp32, bf16 or fp16."""
        return self._encoder.precision

    def check(self) -> None:
        """Compare index, ids and golden texts with what the manifest promises."""
        count, dim = self.bundle.item_count, self.bundle.manifest.model.dim
        bundle, index = self.bundle, self._index
        # Ids and places are read now: the version's folder may be gone when they are first asked.
        counts = {len(index), len(bundle.ids), len(bundle.places)}
        if counts != {count} or {index.dim, self._encoder.dim} != {dim}:
            raise IncompatibleBundle(
                f"{self.bundle.folder}: index, ids and model do not belong together; index again"
            )
        golden = self.bundle.golden
        vectors = self._encoder.encode(self._encoder.prepare(golden.texts))
        worst = float(np.einsum("nd,nd->n", vectors, golden.vectors).min())
        if not worst >= _GOLDEN_COSINE:
            raise IncompatibleBundle(
                f"this machine encodes the bundle's golden texts otherwise (cosine {worst:.4f}); "
                "check the installed torch and cn_clip, or index again"
            )

    def warm_up(self) -> None:
        """Run the first, slow calls before anyone waits for them."""
        for count in (1, 8, 32):
            tokens = self._encoder.prepare(["纯棉碎花吊带裙"] * count)
            self._index.search(self._encoder.encode(tokens), min(10, len(self._index)))

    def search(self, queries: Sequence[str], top_k: Sequence[int]) -> Answers:
        """Answer normalised queries, each with its own number of items (fewer in a small pool)."""
        marks = [perf_counter()]
        tokens = self._encoder.prepare(queries)
        marks.append(perf_counter())
        vectors, remembered = self._memory.encode(tokens)
        marks.append(perf_counter())
        found = self._index.search(vectors, min(max(top_k), len(self._index)))
        hits = tuple(
            self._hits(found, row, k, truncated=cut)
            for row, (k, cut) in enumerate(zip(top_k, tokens.truncated, strict=True))
        )
        marks.append(perf_counter())
        times = StageTimes(*(after - before for before, after in pairwise(marks)))
        return Answers(hits, times, remembered)

    def _hits(self, found: Neighbors, row: int, k: int, *, truncated: bool) -> Hits:
        ids = self.bundle.ids
        keys = [key for key in found.ids[row, :k].tolist() if key >= 0]
        scores = found.scores[row, : len(keys)].tolist()
        return Hits(tuple(ids[key] for key in keys), tuple(scores), truncated)


def _find_weights(made: Model, model: str | None) -> Weights:
    try:
        return find_weights(model or made.location)
    except InvalidRequest as error:
        raise IncompatibleBundle(
            f"the weights that made the bundle ({made.name}, sha256 {made.sha256[:12]}) are not "
            f"where they were; say where they are with --model. {error}"
        ) from None
