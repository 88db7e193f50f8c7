"""A split to train a cross-encoder on: frozen tokens, cosines, and the candidates of each query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels, Vectors
from tusou.encoders.base import Weights
from tusou.encoders.cross.shape import CrossShape
from tusou.encoders.cross.towers import ImageTokens, TextTokens, half
from tusou.encoders.training_record import SplitRecord
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, combine
from tusou.text.normalize import normalize_query
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.identities import unite_same_texts
from tusou_lab.train.pixel_stack import PixelStack

MINED_DEPTH = 100  # the best items of each query, among which are the hard negatives
_BATCH = 64
# Images whose vectors agree to this cosine are the same image under two ids.
_SAME_IMAGE = 0.9999

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RerankSplit:
    """A split as the frozen towers see it."""

    image_tokens: NDArray[np.float16]  # (images, tokens, width), mapped from the cache
    text_tokens: tuple[Tensor, ...]  # per query: (tokens, width) float16
    image_vectors: Vectors  # (images, d)
    query_vectors: Vectors  # (queries, d)
    correct: tuple[Positions, ...]  # per query, those of queries with the same text included
    candidates: Positions  # (queries, depth): the best images by cosine, best first
    record: SplitRecord

    def cosines(self, queries: Positions, images: Positions) -> NDArray[np.float32]:
        """Return the cosines of queries (q,) with their images (q, c)."""
        vectors = self.image_vectors[images]
        cosines: NDArray[np.float32] = np.einsum("qd,qcd->qc", self.query_vectors[queries], vectors)
        return cosines

    def hard_negatives(self, query: int) -> Positions:
        """Return the candidates that are not correct, nor the same image as a correct one."""
        candidates = self.candidates[query]
        others = candidates[~np.isin(candidates, self.correct[query])]
        near = self.image_vectors[others] @ self.image_vectors[self.correct[query]].T
        negatives: Positions = others[near.max(axis=1, initial=-1.0) < _SAME_IMAGE]
        return negatives


class RerankSplitLoader:
    """Runs the frozen towers over splits; the tokens of images are kept in a folder."""

    def __init__(
        self,
        pipeline: SearchPipeline,
        weights: Weights,
        shape: CrossShape,
        cache: Path,
        *,
        interpret: bool = True,
    ) -> None:
        """With `interpret`, what a query refuses is subtracted from its vector."""
        self._pipeline, self._weights, self._shape = pipeline, weights, shape
        self._cache, self._device = cache, pipeline.device
        self._interpret = interpret
        self._texts = TextTokens(weights, self._device)
        self._images = ImageTokens(weights, shape.pool, self._device)

    def load(self, split: TrainingSplit, progress: Progress) -> RerankSplit:
        """Return the tokens, vectors and candidates of a split."""
        texts = [normalize_query(text) for text in split.texts]
        image_vectors = self._encode_images(split.pixels, progress)
        queries = [Query.of_text(text, 1, interpret=self._interpret) for text in texts]
        query_vectors = self._encode_queries(queries)
        return RerankSplit(
            self._image_tokens(split, progress),
            self._text_tokens([query.texts[0] for query in queries]),
            image_vectors,
            query_vectors,
            unite_same_texts(texts, split.correct),
            _nearest(query_vectors, image_vectors, MINED_DEPTH),
            split.record,
        )

    def _encode_images(self, pixels: PixelStack, progress: Progress) -> Vectors:
        if not self._pipeline.image_tower_loaded:
            self._pipeline.load_image_tower()
        progress.begin("encoding images", len(pixels))
        vectors = []
        for batch in _batches(pixels):
            vectors += [part.vector for part in self._pipeline.encode_images(batch)]
            progress.advance(len(batch))
        return np.stack(vectors)

    def _encode_queries(self, queries: Sequence[Query]) -> Vectors:
        """Encode queries as the bundle's searches do, what they refuse included."""
        parts = list(dict.fromkeys(part for query in queries for part in query.texts))
        rows = np.concatenate(
            [
                self._pipeline.encode_texts(parts[start : start + _BATCH]).vectors
                for start in range(0, len(parts), _BATCH)
            ]
        )
        vectors = dict(zip(parts, rows, strict=True))
        return np.stack(
            [combine(query.parts, [vectors[text] for text in query.texts]) for query in queries]
        )

    def _text_tokens(self, texts: Sequence[str]) -> tuple[Tensor, ...]:
        return tuple(
            tokens.half()
            for start in range(0, len(texts), _BATCH)
            for tokens in self._texts.encode(texts[start : start + _BATCH])
        )

    def _image_tokens(self, split: TrainingSplit, progress: Progress) -> NDArray[np.float16]:
        """Map the tokens of all images; they are computed once for these towers and this split."""
        digests = split.record.sha256[:16], self._weights.digest[:16]
        path = self._cache / f"tokens-{'-'.join(digests)}-{self._shape.pool}.npy"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            size = (len(split.pixels), self._shape.image_tokens, self._shape.image_width)
            tokens = open_memmap(unfinished, "w+", np.float16, size)
            progress.begin("encoding image tokens", len(tokens))
            for start in range(0, len(tokens), _BATCH):
                batch = self._images.encode(np.array(split.pixels[start : start + _BATCH]))
                tokens[start : start + len(batch)] = half(batch)
                progress.advance(len(batch))
            tokens.flush()
            unfinished.rename(path)
        mapped: NDArray[np.float16] = np.load(path, mmap_mode="r")
        return mapped


def pad_texts(tokens: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return tokens of several texts (q, longest, width) float32, and their mask (q, longest)."""
    padded = torch.nn.utils.rnn.pad_sequence([part.float() for part in tokens], batch_first=True)
    lengths = torch.tensor([len(part) for part in tokens], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]


def _nearest(queries: Vectors, images: Vectors, depth: int) -> Positions:
    """Return the best images of each query, (queries, depth), by exact search."""
    nearest = []
    for start in range(0, len(queries), _BATCH):
        cosines = queries[start : start + _BATCH] @ images.T
        nearest.append(np.argsort(-cosines, axis=1, kind="stable")[:, :depth])
    return np.concatenate(nearest)


def _batches(pixels: PixelStack) -> Iterator[Pixels]:
    for start in range(0, len(pixels), _BATCH):
        yield np.array(pixels[start : start + _BATCH])
