"""The search pipeline that the service runs and that evaluation measures."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Self

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import INDEX
from tusou.core.arrays import Pixels
from tusou.core.errors import DeadlineExceeded, TusouError
from tusou.core.memory_budget import check_memory, memory_shortage_named
from tusou.encoders import (
    ModelWeights,
    TextEncoder,
    open_text_model,
    release_memory,
    resolve_model,
    without_prompt,
)
from tusou.encoders.calibrated_precision import names_graph
from tusou.encoders.devices import pick_device
from tusou.encoders.openvino.precision_file import MeasuredPrecision
from tusou.encoders.student.folder import Student
from tusou.images.transform import Transforms
from tusou.indexes import load_index
from tusou.indexes.base import IndexServer, ServedIndex
from tusou.indexes.item_changes import ChangeableIndex
from tusou.indexes.specs import MilvusAccess, index_spec
from tusou.retrieval.bundle_precision import name_graphs
from tusou.retrieval.compatibility import (
    check_compatibility,
    find_bundle_weights,
    split_locations,
)
from tusou.retrieval.current_items import CurrentItems
from tusou.retrieval.image_tower import LazyImageTower
from tusou.retrieval.item_view import ItemView
from tusou.retrieval.no_encoder import NoTextEncoder, require_encoder
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.prepare_query import prepare_query
from tusou.retrieval.query import Query, VectorPart
from tusou.retrieval.query_cache import QueryCache, check_finite
from tusou.retrieval.rerank_candidates import Outcome, RerankCandidates
from tusou.retrieval.results import RetrievedBatch, SearchResults, TextEmbeddings
from tusou.retrieval.retriever import NeighborRequest, find_neighbors
from tusou.retrieval.searched_items import SearchedItems
from tusou.retrieval.stage_runner import StageRunner
from tusou.retrieval.students import check_student, tuned_for, warn_of_tuning
from tusou.retrieval.taught_encoder import TaughtEncoder
from tusou.stages.base import StageContext
from tusou.stages.endpoint_spec import BUNDLE_ENDPOINT, EndpointAccess
from tusou.text.segmentation import segment

if TYPE_CHECKING:  # imports pyarrow, which only live changes and attributes need
    from tusou.live.live_items import LiveItems

_WARM_UP_TEXT = "纯棉碎花吊带裙"
_WARM_UP_BATCHES = (1, 8, 32)
_USUAL_TOP_K = 10


class SearchPipeline:
    """Encodes queries, finds the nearest items, and returns their ids.

    Not safe for concurrent calls, but `encode_images` may run beside the other methods.
    """

    def __init__(
        self,
        bundle: Bundle,
        weights: ModelWeights | None,  # None for a bundle of vectors alone
        device: str,
        encoder: TextEncoder,
        *,
        image_options: tuple[str, str],  # the requested precision and backend
        cache_size: int,
        student: TaughtEncoder | None = None,  # if a student encodes the queries
        milvus: MilvusAccess | None = None,
        endpoint: EndpointAccess = BUNDLE_ENDPOINT,
        measured: Sequence[MeasuredPrecision | None] = (),
    ) -> None:
        """Errors as for `open`."""
        self.bundle = bundle
        self._device, self._encoder, self._taught = device, encoder, student
        self._measured = measured
        spec = index_spec(bundle.manifest.index, milvus)
        # That the index was not tuned for the student; None if it was, or there is no student.
        self.student_warning: str | None = None
        if student is not None:
            self.student_warning = warn_of_tuning(student.student, spec, bundle.manifest)
            spec = tuned_for(student.student, spec)
        self.index_tuning = spec.tuning  # the search parameters of the index
        self._index = load_index(spec, bundle.path(INDEX), device, bundle.index_vectors)
        self._current = CurrentItems(bundle, self._index)
        self._cache = QueryCache(encoder, cache_size)
        self._image_tower = LazyImageTower(bundle, weights, device, image_options)
        context = None  # a bundle of vectors alone has no texts to rerank by
        if weights is not None:
            context = StageContext(bundle, weights, device, *image_options, endpoint)
        self.stages = StageRunner(bundle, context, self.student)

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
        milvus: MilvusAccess | None = None,
        endpoint: EndpointAccess = BUNDLE_ENDPOINT,
        student: Student | None = None,
    ) -> Self:
        """Verify and open the version that CURRENT names.

        `model` is where the weights are, if not where the manifest says; those of an ensemble with
        commas between them, any of which may be left out. `cache_size` is the number of texts whose
        vectors are cached. Raises CorruptBundle, InsufficientMemory when the bundle certainly does
        not fit, and IncompatibleBundle when the weights are not those that encoded the items, or
        do not reproduce the vectors of the golden texts. Where the index is on a server, `milvus`
        tells how to ask it, and IndexUnavailable is raised if it does not answer. `endpoint` tells
        how to ask a reranker that is behind one. A `student` encodes the queries in place of the
        model, which must be its teacher: else IncompatibleBundle.
        """
        bundle = Bundle.open(root)
        bundle.verify()
        manifest = bundle.manifest
        precision = name_graphs(manifest, precision)
        options = precision, backend
        if student is not None:
            check_student(manifest, student)
        if not manifest.has_encoder:
            return cls._open_vectors(bundle, pick_device(device), options, milvus)
        weights = find_bundle_weights(manifest, split_locations(manifest, model))
        if names_graph(precision):  # the image tower, which is loaded later, needs it
            resolve_model(weights, "image", device, precision, backend)
        resolved = resolve_model(weights, "text", device, precision, backend)
        taught = None if student is None else TaughtEncoder(student, resolved, bundle)
        check_memory(bundle.least_memory + (0 if taught else resolved.min_memory))
        encoder = taught.open(*options) if taught else open_text_model(resolved, manifest.templates)
        pipeline = cls(
            bundle,
            weights,
            resolved.device,
            encoder,
            image_options=options,
            cache_size=cache_size,
            milvus=milvus,
            endpoint=endpoint,
            student=taught,
            measured=() if taught else resolved.measured,
        )
        pipeline.check()
        return pipeline

    @classmethod
    def _open_vectors(
        cls, bundle: Bundle, device: str, options: tuple[str, str], milvus: MilvusAccess | None
    ) -> Self:
        """Open a bundle of vectors alone."""
        check_memory(bundle.least_memory)
        encoder = NoTextEncoder(bundle.dim)
        pipeline = cls(
            bundle, None, device, encoder, image_options=options, cache_size=0, milvus=milvus
        )
        pipeline.check()
        return pipeline

    @property
    def device(self) -> str:
        """The device that encodes and searches: cpu, cuda or cuda:N."""
        return self._device

    @property
    def precision(self) -> str:
        """The precision of the text encoder: fp32, bf16, fp16 or int8; a list if models differ."""
        return self._encoder.precision

    @property
    def measured(self) -> Sequence[MeasuredPrecision | None]:
        """The measurement of each model by which `auto` chose; None where there was none."""
        return self._measured

    @property
    def backend(self) -> str:
        """The backend of the text encoder: torch or openvino; a list if models differ."""
        return self._encoder.backend

    @property
    def student(self) -> Student | None:
        """The student that encodes queries; None where the bundle's model does."""
        return None if self._taught is None else self._taught.student

    @property
    def encoder_name(self) -> str:
        """The name of what encodes queries: of the model, or of its student."""
        return self.bundle.model_name if self.student is None else self.student.name

    @property
    def index_server(self) -> IndexServer | None:
        """The server that searches the index; None where this process does."""
        return self._index.server if isinstance(self._index, ServedIndex) else None

    @property
    def changeable_index(self) -> ChangeableIndex | None:
        """The index, if it is on a server that stores live changes too."""
        return self._index if isinstance(self._index, ChangeableIndex) else None

    def attach_live(self, live: "LiveItems") -> None:
        """Search the items with their live changes from the next batch on."""
        self._current.attach_live(live)

    @property
    def view(self) -> ItemView:
        """The items as they are now; any thread may read it."""
        return self._current.view

    @property
    def items(self) -> SearchedItems:
        """The items that a search without a view of its own finds now."""
        return self._current.of(self.view)

    def check(self) -> None:
        """Raise IncompatibleBundle unless index, ids and golden texts match the manifest."""
        check_compatibility(self.bundle, self._index, self._encoder, self.student)

    def warm_up(self) -> None:
        """Run the first, slow calls now. The query cache stays empty."""
        segment(_WARM_UP_TEXT)  # its dictionary would hold up the first query with a refusal
        self._encoder.warm_up()
        for count in _WARM_UP_BATCHES:
            vectors = self._encoder.encode(self._encoder.prepare([_WARM_UP_TEXT] * count))
            queries = (self.items.as_query(vector, adjust=True) for vector in vectors)
            requests = [NeighborRequest(query, _USUAL_TOP_K) for query in queries]
            find_neighbors(self._index, requests)
        self.stages.warm_up()

    def release_memory(self) -> None:
        """Return the memory that the device's allocator holds without using it."""
        release_memory(self._device)

    @property
    def transform(self) -> Transforms:
        """The transform that `to_pixels` makes the images of `encode_images` with."""
        return self.bundle.manifest.transform

    @property
    def image_tower_loaded(self) -> bool:
        """Return whether `encode_images` can be called."""
        return self._image_tower.loaded

    def load_image_tower(self) -> None:
        """Load the image encoder; errors as for `LazyImageTower.load`, and NoEncoder."""
        require_encoder(self.bundle.manifest)
        self._image_tower.load()

    def encode_images(self, pixels: Pixels) -> list[VectorPart]:
        """Encode images made by `to_pixels` with `transform`; NotReady without the image tower.

        One call at a time, which may run beside the other methods.
        """
        return self._image_tower.encode(pixels)

    def encode_texts(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode normalised texts as queries are encoded, prompt included; NoEncoder."""
        require_encoder(self.bundle.manifest)
        tokens = self._encoder.prepare(texts)
        lengths = tuple(np.count_nonzero(tokens.ids, axis=1).tolist())
        vectors = check_finite(self._encoder.encode(tokens))
        return TextEmbeddings(vectors, lengths, self.bundle.version)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text that the text tower does not know."""
        return self._encoder.unknown_share(texts)

    def encode_items(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode texts as items are encoded: by the model, without the prompt; NoEncoder."""
        require_encoder(self.bundle.manifest)
        taught = self._taught
        encoder = without_prompt(self._encoder) if taught is None else taught.model
        tokens = encoder.prepare(texts)
        lengths = tuple(np.count_nonzero(tokens.ids, axis=1).tolist())
        return TextEmbeddings(check_finite(encoder.encode(tokens)), lengths, self.bundle.version)

    def search(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool] = lambda _: True
    ) -> SearchResults:
        """Retrieve the items of a batch of queries and rerank them, without a time limit.

        Errors as for `retrieve`.
        """
        retrieved = self.retrieve(queries, still_waiting)
        started = perf_counter()
        hits = tuple(
            outcome.reranked() if isinstance(outcome, RerankCandidates) else outcome
            for outcome in retrieved.outcomes
        )
        times = retrieved.times
        if self.stages.reranker is not None:
            times = times | {"rerank": perf_counter() - started}
        return SearchResults(hits, times, retrieved.cache_hits)

    def retrieve(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool] = lambda _: True
    ) -> RetrievedBatch:
        """Search for a batch of queries; all its texts are encoded together.

        A query whose hits are to be reranked has `RerankCandidates` as its outcome. A query that
        names an unknown item, or whose parts cancel out, has its error, and the other queries are
        searched. Before the search, `still_waiting` is called once for each position in `queries`;
        a query without a waiting caller is not searched and has DeadlineExceeded as its outcome.
        """
        marks = [perf_counter()]
        query_texts = [text for query in queries for text in query.texts]
        tokens = self._encoder.prepare(query_texts)
        unknown = iter(self._encoder.unknown_share(query_texts))
        marks.append(perf_counter())
        vectors, cache_hits = self._cache.encode(tokens)
        texts = zip(vectors, tokens.truncated, strict=True)
        now = self.view
        prepared: dict[int, PreparedQuery] = {}
        failed: dict[int, TusouError] = {}
        batches: dict[SearchedItems, list[int]] = defaultdict(list)
        for position, query in enumerate(queries):
            encoded = list(islice(texts, len(query.texts)))
            share = max(islice(unknown, len(query.texts)), default=0.0)
            try:
                if not still_waiting(position):
                    raise DeadlineExceeded("The caller no longer waits for this result.")
                items = self._current.of(query.view or now)
                each = replace(prepare_query(query, encoded, items), unknown_share=share)
                prepared[position] = self.stages.prepare(each)
            except TusouError as error:
                failed[position] = error
            else:
                batches[items].append(position)
        marks.append(perf_counter())
        adjusting = 0.0
        outcomes: dict[int, Outcome] = {**failed}
        for items, positions in batches.items():
            started = perf_counter()
            batch = self.stages.adjust(items, [prepared[position] for position in positions])
            adjusting += perf_counter() - started
            pages = find_pages(items, batch)
            batch_outcomes = map(partial(self.stages.outcome, items), batch, pages)
            outcomes |= zip(positions, batch_outcomes, strict=True)
        marks.append(perf_counter())
        seconds = (after - before for before, after in pairwise(marks))
        times = dict(zip(("tokenise", "encode", "search"), seconds, strict=True))
        if self.stages.has_feedback:
            times |= {"adjust": adjusting, "search": times["search"] - adjusting}
        ordered = tuple(outcomes[position] for position in range(len(queries)))
        return RetrievedBatch(ordered, times, cache_hits)
