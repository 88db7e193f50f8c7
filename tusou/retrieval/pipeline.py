"""SearchPipeline: what the service runs and what evaluation measures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from pathlib import Path
from time import perf_counter
from typing import Self, TypeAlias

import numpy as np

from tusou.bundle.bundle import INDEX, Bundle
from tusou.core.arrays import Pixels, Vectors
from tusou.core.errors import (
    DeadlineExceeded,
    IncompatibleBundle,
    NotReady,
    TusouError,
    UnknownItem,
)
from tusou.core.memory_budget import check_memory
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    Weights,
    least_memory,
    load_image_encoder,
    load_text_encoder,
    release_memory,
    resolve_encoder,
)
from tusou.indexes import VectorIndex, load_index
from tusou.retrieval.compatibility import check_together, weights_of
from tusou.retrieval.query import ItemPart, Query, TextPart, VectorPart, combine
from tusou.retrieval.results import Hits, SearchResults, StageTimes, TextEmbeddings
from tusou.retrieval.retriever import RankedNeighbors, Retriever

_USUAL = 10  # items asked for

# A text's vector, whether it was cut, and what was found near it on the way.
_Text: TypeAlias = tuple[Vectors, bool, RankedNeighbors | None]


@dataclass(frozen=True, slots=True, eq=False)
class _PreparedQuery:
    """An ask made ready: where to look, and which rows not to return."""

    ask: Query
    vector: Vectors  # (d,)
    hidden: set[int]
    truncated: bool
    near: RankedNeighbors | None  # what was found on the way, if the answer is surely in it

    @property
    def depth(self) -> int:
        """How many neighbours hold the answer, whatever is hidden among them."""
        return self.ask.offset + self.ask.top_k + len(self.hidden)


class SearchPipeline:
    """Encode queries, find the nearest images, name the items.

    One call at a time: the owner of the pipeline is its only caller.
    """

    def __init__(
        self,
        bundle: Bundle,
        weights: Weights,
        device: str,
        encoder: TextEncoder,
        *,
        image_precision: str = "auto",
        image_backend: str = "auto",
        remember: int = 0,
    ) -> None:
        self.bundle = bundle
        self._weights, self._device, self._encoder = weights, device, encoder
        spec = bundle.manifest.index.spec
        self._index: VectorIndex = load_index(spec, bundle.path(INDEX), device)
        self._nearest = Retriever(encoder, self._index, remember)
        self._image_precision, self._image_backend = image_precision, image_backend
        self._image_encoder: ImageEncoder | None = None

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        device: str = "auto",
        model: str | None = None,
        precision: str = "auto",
        backend: str = "auto",
        remember: int = 0,
    ) -> Self:
        """Open the version that CURRENT names, once every byte of it is verified.

        `remember` is the number of queries whose vectors are kept for when they come again.

        `model` says where the weights are when not where the manifest's model name leads.
        Raises CorruptBundle, InsufficientMemory when it certainly does not fit, and
        IncompatibleBundle when the weights are not the ones that encoded the images or do not
        give the golden texts their stored vectors.
        """
        bundle = Bundle.open(root)
        bundle.verify()
        manifest = bundle.manifest
        weights = weights_of(manifest, model or manifest.model.location)
        choice = resolve_encoder(weights, "text", device, precision, backend)
        check_memory(bundle.least_memory + least_memory(weights, "text", choice))
        encoder = load_text_encoder(
            weights, choice.device, manifest.prompt, choice.precision, choice.backend
        )
        pipeline = cls(
            bundle,
            weights,
            device,
            encoder,
            image_precision=precision,
            image_backend=backend,
            remember=remember,
        )
        pipeline.check()
        return pipeline

    @property
    def precision(self) -> str:
        """Say in which precision queries are encoded: fp32, bf16, fp16 or int8."""
        return self._encoder.precision

    @property
    def backend(self) -> str:
        """Say what encodes queries: torch or openvino."""
        return self._encoder.backend

    @property
    def direct(self) -> bool:
        """Tell whether a text is searched for by the device that encodes it, in one go."""
        return self._nearest.direct

    def check(self) -> None:
        """Compare index, ids and golden texts with what the manifest promises."""
        check_together(self.bundle, self._index, self._encoder)

    def warm_up(self) -> None:
        """Run the first, slow calls before anyone waits for them."""
        self._encoder.warm_up()
        forgetful = Retriever(self._encoder, self._index, 0)
        for count in (1, 8, 32):
            tokens = self._encoder.prepare(["纯棉碎花吊带裙"] * count)
            forgetful.find(list(forgetful.encode(tokens, _USUAL).vectors), [_USUAL] * count)

    def release_memory(self) -> None:
        """Give back what the device's allocator keeps for later."""
        release_memory(self._device)

    @property
    def image_size(self) -> int:
        """The side, in pixels, of what `see` takes."""
        return self.bundle.manifest.model.image_size

    @property
    def sees(self) -> bool:
        """Tell whether the image tower is loaded."""
        return self._image_encoder is not None

    def load_image_tower(self) -> None:
        """Load what `see` needs; IncompatibleBundle when the weights' file has changed.

        InsufficientMemory when it certainly does not fit.
        """
        manifest = self.bundle.manifest
        weights = weights_of(manifest, str(self._weights.path))
        choice = resolve_encoder(
            weights, "image", self._device, self._image_precision, self._image_backend
        )
        check_memory(least_memory(weights, "image", choice))
        encoder = load_image_encoder(weights, choice.device, choice.precision, choice.backend)
        if (encoder.dim, encoder.image_size) != (manifest.model.dim, manifest.model.image_size):
            raise IncompatibleBundle(f"{self.bundle.folder}: not the image tower of its manifest")
        blank = np.zeros((1, encoder.image_size, encoder.image_size, 3), np.uint8)
        encoder.encode(blank)  # the first pass is slow
        self._image_encoder = encoder

    def see(self, pixels: Pixels) -> list[VectorPart]:
        """Encode images made by `to_pixels`, once the image tower is loaded.

        One call at a time, which may run beside the other calls.
        """
        if self._image_encoder is None:
            raise NotReady("the image tower is not loaded; send the image again")
        vectors = _finite(self._image_encoder.encode(pixels))
        return [VectorPart(vector, self.bundle.manifest.model.sha256) for vector in vectors]

    def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode texts as queries are, prompt included."""
        tokens = self._encoder.prepare(texts)
        lengths = tuple(np.count_nonzero(tokens.ids, axis=1).tolist())
        vectors = _finite(self._encoder.encode(tokens))
        return TextEmbeddings(vectors, lengths)

    def search(self, queries: Sequence[str], top_k: Sequence[int]) -> SearchResults:
        """Answer normalised queries, each with its own number of items (fewer in a small pool)."""
        return self.answer([Query.of_text(*one) for one in zip(queries, top_k, strict=True)])

    def answer(
        self, asks: Sequence[Query], wanted: Callable[[int], bool] = lambda _: True
    ) -> SearchResults:
        """Answer a batch: its texts are encoded together, its items looked up.

        One ask that names no item of the pool, or whose parts cancel out, has its error in the
        answers and harms no other. Before the search `wanted` is asked once of each ask, by its
        place; one that nobody waits for any more is DeadlineExceeded. (Where texts are searched
        for by the device that encodes them, it is asked behind that.)
        """
        marks = [perf_counter()]
        tokens = self._encoder.prepare([text for ask in asks for text in ask.texts])
        marks.append(perf_counter())
        depth = max((ask.neighbors_needed for ask in asks if ask.is_text), default=0)
        encoded = self._nearest.encode(tokens, depth)
        texts = zip(encoded.vectors, tokens.truncated, encoded.near, strict=True)
        aims = [self._aim(ask, texts) for ask in asks]
        late = DeadlineExceeded("Nobody waits for this answer any more.")
        aims = [aim if wanted(place) else late for place, aim in enumerate(aims)]
        marks.append(perf_counter())
        found = iter(self._look_up([aim for aim in aims if isinstance(aim, _PreparedQuery)]))
        hits = tuple(next(found) if isinstance(aim, _PreparedQuery) else aim for aim in aims)
        marks.append(perf_counter())
        tokenise, encode, search = (after - before for before, after in pairwise(marks))
        # A device that did both in one go has timed the search by its own clock.
        times = StageTimes(tokenise, encode - encoded.searching, search + encoded.searching)
        return SearchResults(hits, times, encoded.remembered)

    def _aim(self, ask: Query, texts: Iterator[_Text]) -> _PreparedQuery | TusouError:
        """Make one unit vector of an ask's parts; its texts are the next of these."""
        if ask.is_text:
            alone, cut, near = next(texts)
            aim = _PreparedQuery(ask, alone, self._hidden(ask), cut, near)
            return aim if near is None or near.settles(aim.depth) else replace(aim, near=None)
        encoded = [next(texts) for _ in ask.texts]
        own = iter(encoded)
        vectors: list[Vectors] = []
        for part in ask.parts:
            vector = next(own)[0] if isinstance(part, TextPart) else self._known(part)
            if isinstance(vector, TusouError):
                return vector
            vectors.append(vector)
        total = combine(ask.parts, vectors)
        if isinstance(total, TusouError):
            return total
        return _PreparedQuery(
            ask, total, self._hidden(ask), any(cut for _, cut, _ in encoded), None
        )

    def _hidden(self, ask: Query) -> set[int]:
        ids = self.bundle.ids
        return {key for one in ask.excluded_ids if (key := ids.key(one)) is not None}

    def _known(self, part: ItemPart | VectorPart) -> Vectors | TusouError:
        """Give the vector of a part that needs no encoding."""
        if isinstance(part, VectorPart):
            made_here = part.model == self.bundle.manifest.model.sha256
            return part.vector if made_here else NotReady("the index has just changed; ask again")
        key = self.bundle.ids.key(part.item_id)
        if key is None:
            return UnknownItem("the pool holds no item of this id")
        vector: Vectors = self.bundle.vectors[key]
        return vector

    def _look_up(self, aims: Sequence[_PreparedQuery]) -> list[Hits]:
        rest = [aim for aim in aims if aim.near is None]
        found = iter(self._nearest.find([aim.vector for aim in rest], [aim.depth for aim in rest]))
        return [self._hits(aim, aim.near or next(found)) for aim in aims]

    def _hits(self, aim: _PreparedQuery, near: RankedNeighbors) -> Hits:
        keys, scores = near.keys[: aim.depth], near.scores[: aim.depth]
        if aim.hidden or keys[-1] < 0:
            shown = [key >= 0 and key not in aim.hidden for key in keys]
            keys, scores = list(compress(keys, shown)), list(compress(scores, shown))
        page = slice(aim.ask.offset, aim.ask.offset + aim.ask.top_k)
        return Hits(self.bundle.ids.of(keys[page]), tuple(scores[page]), aim.truncated)


def _finite(vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():  # an index would answer these with nonsense
        raise FloatingPointError("a tower gave a vector that is not finite")
    return vectors
