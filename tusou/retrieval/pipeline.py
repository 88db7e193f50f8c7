"""The search pipeline that the service runs and that evaluation measures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress, islice, pairwise
from pathlib import Path
from time import perf_counter
from typing import Self

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import INDEX
from tusou.core.arrays import Pixels, Vectors
from tusou.core.errors import DeadlineExceeded, IncompatibleBundle, NotReady, TusouError
from tusou.core.hits import Hits
from tusou.core.memory_budget import check_memory, memory_shortage_named
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    Weights,
    open_image_encoder,
    open_text_encoder,
    release_memory,
    resolve_encoder,
)
from tusou.indexes import VectorIndex, load_index
from tusou.indexes.specs import index_spec
from tusou.retrieval.compatibility import check_compatibility, find_bundle_weights
from tusou.retrieval.query import ItemPart, Query, TextPart, VectorPart, combine
from tusou.retrieval.query_cache import QueryCache, check_finite
from tusou.retrieval.results import SearchResults, TextEmbeddings
from tusou.retrieval.retriever import find_neighbors
from tusou.text.segmentation import segment

_WARM_UP_TEXT = "纯棉碎花吊带裙"
_WARM_UP_BATCHES = (1, 8, 32)
_USUAL_TOP_K = 10


@dataclass(frozen=True, slots=True, eq=False)
class _PreparedQuery:
    """A query as one vector, and the row keys that it must not return."""

    query: Query
    vector: Vectors  # (d,)
    excluded_keys: set[int]
    truncated: bool

    @property
    def neighbors_needed(self) -> int:
        """The number of neighbors that hold the page, whichever of them are excluded."""
        return self.query.offset + self.query.top_k + len(self.excluded_keys)


class SearchPipeline:
    """Encodes queries, finds the nearest items, and returns their ids.

    Not safe for concurrent calls, but `encode_images` may run beside the other methods.
    """

    def __init__(
        self,
        bundle: Bundle,
        weights: Weights,
        device: str,
        encoder: TextEncoder,
        *,
        image_options: tuple[str, str],  # the requested precision and backend
        cache_size: int,
    ) -> None:
        self.bundle = bundle
        self._weights, self._device, self._encoder = weights, device, encoder
        spec = index_spec(bundle.manifest.index)
        self._index: VectorIndex = load_index(spec, bundle.path(INDEX), device, bundle.vector_file)
        self._cache = QueryCache(encoder, cache_size)
        self._image_options = image_options
        self._image_encoder: ImageEncoder | None = None

    @classmethod
    @memory_shortage_named()
    def open(
        cls,
        root: Path,
        *,
        device: str = "auto",
        model: str | None = None,
        precision: str = "auto",
        backend: str = "auto",
        cache_size: int = 0,
    ) -> Self:
        """Verify and open the version that CURRENT names.

        `model` is where the weights are, if not where the manifest says. `cache_size` is the
        number of texts whose vectors are cached. Raises CorruptBundle, InsufficientMemory when
        the bundle certainly does not fit, and IncompatibleBundle when the weights are not those
        that encoded the items, or do not reproduce the vectors of the golden texts.
        """
        bundle = Bundle.open(root)
        bundle.verify()
        manifest = bundle.manifest
        weights = find_bundle_weights(manifest, model or manifest.model.location)
        resolved = resolve_encoder(weights, "text", device, precision, backend)
        check_memory(bundle.least_memory + resolved.min_memory)
        encoder = open_text_encoder(resolved, manifest.prompt)
        options = precision, backend
        pipeline = cls(
            bundle, weights, resolved.device, encoder, image_options=options, cache_size=cache_size
        )
        pipeline.check()
        return pipeline

    @property
    def device(self) -> str:
        """The device that encodes and searches: cpu, cuda or cuda:N."""
        return self._device

    @property
    def precision(self) -> str:
        """The precision of the text encoder: fp32, bf16, fp16 or int8."""
        return self._encoder.precision

    @property
    def backend(self) -> str:
        """The backend of the text encoder: torch or openvino."""
        return self._encoder.backend

    def check(self) -> None:
        """Raise IncompatibleBundle unless index, ids and golden texts match the manifest."""
        check_compatibility(self.bundle, self._index, self._encoder)

    def warm_up(self) -> None:
        """Run the first, slow calls now. The query cache stays empty."""
        segment(_WARM_UP_TEXT)  # its dictionary would hold up the first query with a refusal
        self._encoder.warm_up()
        for count in _WARM_UP_BATCHES:
            vectors = self._encoder.encode(self._encoder.prepare([_WARM_UP_TEXT] * count))
            find_neighbors(self._index, list(vectors), [_USUAL_TOP_K] * count)

    def release_memory(self) -> None:
        """Return the memory that the device's allocator holds without using it."""
        release_memory(self._device)

    @property
    def image_size(self) -> int:
        """The side, in pixels, of the images that `encode_images` takes."""
        return self.bundle.manifest.model.image_size

    @property
    def image_tower_loaded(self) -> bool:
        """Return whether `encode_images` can be called."""
        return self._image_encoder is not None

    def load_image_tower(self) -> None:
        """Load the image encoder.

        Raises IncompatibleBundle when the weights' file has changed, and InsufficientMemory when
        the tower certainly does not fit.
        """
        manifest = self.bundle.manifest
        weights = find_bundle_weights(manifest, str(self._weights.path))
        resolved = resolve_encoder(weights, "image", self._device, *self._image_options)
        check_memory(resolved.min_memory)
        encoder = open_image_encoder(resolved)
        if (encoder.dim, encoder.image_size) != (manifest.model.dim, manifest.model.image_size):
            raise IncompatibleBundle(
                f"{self.bundle.folder}: the image tower does not have the manifest's shape; "
                "index again"
            )
        blank = np.zeros((1, encoder.image_size, encoder.image_size, 3), np.uint8)
        encoder.encode(blank)  # the first pass is slow
        self._image_encoder = encoder

    def encode_images(self, pixels: Pixels) -> list[VectorPart]:
        """Encode images made by `to_pixels`, (n, size, size, 3); NotReady without the image tower.

        One call at a time, which may run beside the other methods.
        """
        if self._image_encoder is None:
            raise NotReady("the image tower is not loaded; send the image again")
        vectors = check_finite(self._image_encoder.encode(pixels))
        return [VectorPart(vector, self.bundle.manifest.model.sha256) for vector in vectors]

    def encode_texts(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode normalised texts as queries are encoded, prompt included."""
        tokens = self._encoder.prepare(texts)
        lengths = tuple(np.count_nonzero(tokens.ids, axis=1).tolist())
        vectors = check_finite(self._encoder.encode(tokens))
        return TextEmbeddings(vectors, lengths, self.bundle.version)

    def search(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool] = lambda _: True
    ) -> SearchResults:
        """Search for a batch of queries; all its texts are encoded together.

        A query that names an unknown item, or whose parts cancel out, has its error in the
        results, and the other queries are searched. Before the search, `still_waiting` is called
        once for each position in `queries`; a query without a waiting caller is not searched and
        has DeadlineExceeded as its result.
        """
        marks = [perf_counter()]
        tokens = self._encoder.prepare([text for query in queries for text in query.texts])
        marks.append(perf_counter())
        vectors, cache_hits = self._cache.encode(tokens)
        texts = zip(vectors, tokens.truncated, strict=True)
        prepared: list[_PreparedQuery | TusouError] = []
        for position, query in enumerate(queries):
            encoded = list(islice(texts, len(query.texts)))
            try:
                if not still_waiting(position):
                    raise DeadlineExceeded("The caller no longer waits for this result.")
                prepared.append(self._prepare(query, encoded))
            except TusouError as error:
                prepared.append(error)
        marks.append(perf_counter())
        valid = [each for each in prepared if isinstance(each, _PreparedQuery)]
        pages = iter(self._find_pages(valid))
        hits = tuple(next(pages) if isinstance(each, _PreparedQuery) else each for each in prepared)
        marks.append(perf_counter())
        seconds = (after - before for before, after in pairwise(marks))
        times = dict(zip(("tokenise", "encode", "search"), seconds, strict=True))
        return SearchResults(hits, times, cache_hits)

    def _prepare(self, query: Query, encoded: Sequence[tuple[Vectors, bool]]) -> _PreparedQuery:
        """Combine the query's parts; `encoded` holds vector and truncation of each of its texts."""
        rows = iter(encoded)
        vectors = [
            next(rows)[0] if isinstance(part, TextPart) else self._stored_vector(part)
            for part in query.parts
        ]
        keys = (self.bundle.ids.key(item_id) for item_id in query.excluded_ids)
        return _PreparedQuery(
            query,
            combine(query.parts, vectors),
            {key for key in keys if key is not None},
            any(truncated for _, truncated in encoded),
        )

    def _stored_vector(self, part: ItemPart | VectorPart) -> Vectors:
        if isinstance(part, VectorPart):
            if part.model != self.bundle.manifest.model.sha256:
                raise NotReady("the index has just changed; send the request again")
            return part.vector
        vector: Vectors = self.bundle.vector_file.rows([self.bundle.key(part.item_id)])[0]
        return vector

    def _find_pages(self, prepared: Sequence[_PreparedQuery]) -> list[Hits]:
        if not prepared:
            return []
        neighbors = find_neighbors(
            self._index,
            [each.vector for each in prepared],
            [each.neighbors_needed for each in prepared],
        )
        rows = zip(prepared, neighbors.ids.tolist(), neighbors.scores.tolist(), strict=True)
        return [self._page(each, keys, scores) for each, keys, scores in rows]

    def _page(self, prepared: _PreparedQuery, keys: list[int], scores: list[float]) -> Hits:
        """Return the hits of a query's page from its neighbors, which may be padded with -1."""
        query, understood = prepared.query, prepared.query.understood
        keys, scores = keys[: prepared.neighbors_needed], scores[: prepared.neighbors_needed]
        if prepared.excluded_keys or keys[-1] < 0:
            shown = [key >= 0 and key not in prepared.excluded_keys for key in keys]
            keys, scores = list(compress(keys, shown)), list(compress(scores, shown))
        page = slice(query.offset, query.offset + query.top_k)
        return Hits(
            tuple(map(self.bundle.ids.at, keys[page])),
            tuple(scores[page]),
            prepared.truncated,
            self.bundle.version,
            understood.positive if understood else None,
            "、".join(understood.refused) if understood else None,
        )
