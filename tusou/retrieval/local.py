"""In-process search of a bundle, without a service."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import Self, TypeVar, Unpack, overload

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.local_copy import local_folder
from tusou.bundle.location import parse_location
from tusou.core.arrays import Vectors
from tusou.core.errors import NotReady, TusouError
from tusou.core.hits import Hits
from tusou.encoders.student.folder import open_student
from tusou.images.preparation import FOR_QUERIES
from tusou.images.preprocess import to_pixels
from tusou.retrieval.local_options import (
    ImageInput,
    LocalSearchOptions,
    make_queries,
    read_image,
)
from tusou.retrieval.notebook import HitsView, view_hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import (
    Query,
    VectorPart,
)
from tusou.stages.endpoint_spec import EndpointAccess
from tusou.text.normalize import normalize_query

_TEXTS_PER_BATCH, _IMAGES_PER_BATCH = 256, 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalHits(Hits):
    """Hits that can show their items in a notebook."""

    bundle: Bundle | None = field(default=None, repr=False, compare=False)

    def show(self) -> HitsView:
        """Return a row of images (or texts), which a notebook displays with rank, id and score."""
        assert self.bundle is not None
        return view_hits(self, self.bundle)


class LocalSearch:
    """A bundle opened for search in this process; safe to share between threads.

    Results, defaults and errors are those of the HTTP API. Close it, or use it in a `with`.
    """

    def __init__(self, pipeline: SearchPipeline) -> None:
        self._open: SearchPipeline | None = pipeline
        self._lock = Lock()  # a pipeline takes one call at a time

    @overload
    def search(
        self, query: str | None = None, top_k: int = 10, **options: Unpack[LocalSearchOptions]
    ) -> LocalHits: ...
    @overload
    def search(
        self,
        query: list[str] | tuple[str, ...],
        top_k: int = 10,
        **options: Unpack[LocalSearchOptions],
    ) -> list[LocalHits]: ...
    def search(
        self,
        query: str | list[str] | tuple[str, ...] | None = None,
        top_k: int = 10,
        **options: Unpack[LocalSearchOptions],
    ) -> LocalHits | list[LocalHits]:
        """Return the items that match a text, image, item, vector or a mixture, best first.

        A list of texts gives a list of hits; the options then apply to each text. Raises
        InvalidRequest, EmptyQuery, QueryTooLong, BadImage, UnknownItem, and NoEncoder where the
        bundle holds vectors alone.
        """
        if isinstance(query, str) or query is None:
            (hits,) = self._search(self._queries([query], top_k, options))
            return hits
        return list(self._search(self._queries(query, top_k, options)))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors of queries, the bundle's prompt included: (n, d) float32."""
        normal = [normalize_query(text) for text in texts]
        with self._lock:
            parts = [
                self._pipeline.encode_texts(part).vectors
                for part in _batches(normal, _TEXTS_PER_BATCH)
            ]
        return self._stacked(parts)

    def encode_images(self, images: Sequence[ImageInput]) -> Vectors:
        """Return the unit vectors of images, paths or bytes: (n, d) float32.

        The first call loads the image tower. Raises BadImage.
        """
        return self._stacked([part.vector[np.newaxis] for part in self._encode_images(images)])

    def close(self) -> None:
        """Release the model and the index; later calls raise NotReady."""
        with self._lock:
            if self._open is not None:
                self._open.release_memory()
            self._open = None

    def __len__(self) -> int:
        return self._pipeline.bundle.item_count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def index_version(self) -> str:
        """The version of the bundle that is searched."""
        return self._pipeline.bundle.version

    @property
    def _pipeline(self) -> SearchPipeline:
        if self._open is None:
            raise NotReady("the bundle is closed; open it again with tusou.open_bundle")
        return self._open

    def _queries(
        self, texts: Sequence[str | None], top_k: int, options: LocalSearchOptions
    ) -> list[Query]:
        return make_queries(texts, top_k, lambda image: self._encode_images([image])[0], **options)

    def _search(self, queries: Sequence[Query]) -> Iterator[LocalHits]:
        for batch in _batches(queries, _TEXTS_PER_BATCH):
            with self._lock:
                bundle = self._pipeline.bundle
                results = self._pipeline.search(batch)
            for hits in results.hits:
                if isinstance(hits, TusouError):
                    raise hits
                values = {each.name: getattr(hits, each.name) for each in fields(hits)}
                yield LocalHits(**values, bundle=bundle)

    def _encode_images(self, images: Sequence[ImageInput]) -> list[VectorPart]:
        vectors: list[VectorPart] = []
        with self._lock:
            pipeline = self._pipeline
            for batch in _batches(images, _IMAGES_PER_BATCH):
                transform = pipeline.transform
                pixels = [to_pixels(read_image(image), transform, FOR_QUERIES) for image in batch]
                if not pipeline.image_tower_loaded:
                    pipeline.load_image_tower()
                vectors += pipeline.encode_images(np.stack(pixels))
        return vectors

    def _stacked(self, parts: Sequence[Vectors]) -> Vectors:
        dim = self._pipeline.bundle.manifest.model.dim
        return np.concatenate([np.empty((0, dim), np.float32), *parts])


def open_bundle(
    path: str | PathLike[str],
    *,
    device: str = "auto",
    model: str | None = None,
    precision: str = "auto",
    backend: str = "auto",
    cache_dir: str | PathLike[str] | None = None,
    rerank_url: str | None = None,
    rerank_key_file: str | PathLike[str] | None = None,
    query_encoder: str | PathLike[str] | None = None,
) -> LocalSearch:
    """Open the current version of a bundle for search in this process.

    `path` is the bundle's folder, or `s3://BUCKET/PREFIX`, which is downloaded into `cache_dir`
    (`~/.cache/tusou`) unless it is there. Every byte of it is verified first. `model` says where
    the weights are, if they are no longer where the bundle was made. A bundle that is reranked
    behind an endpoint asks the one at `rerank_url`, or else the one that it names, with the key in
    the first line of `rerank_key_file`, and keeps the grades in `cache_dir` if that is given.
    `query_encoder` is the folder of a student that encodes the queries in place of the model.
    Raises CorruptBundle, IncompatibleBundle, InsufficientMemory, StorageFull, StoreUnreachable and
    MissingDependency.
    """
    cache = Path(cache_dir) if cache_dir else None
    root = local_folder(parse_location(fspath(path)), cache)
    key_file = Path(rerank_key_file) if rerank_key_file else None
    pipeline = SearchPipeline.open(
        root,
        device=device,
        model=model,
        precision=precision,
        backend=backend,
        endpoint=EndpointAccess(rerank_url, key_file, cache),
        student=open_student(Path(query_encoder)) if query_encoder else None,
    )
    return LocalSearch(pipeline)


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
