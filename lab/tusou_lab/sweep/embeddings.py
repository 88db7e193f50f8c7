"""Vectors of queries under the prompts and precisions of a sweep."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.encoders import TextEncoder, Weights, load_text_encoder
from tusou.retrieval.query import Query, combine
from tusou.text.prompt import fill_prompt
from tusou_lab.embedding_cache import EmbeddingCache, conditions
from tusou_lab.sweep.prompts import Prompt

LoadEncoder = Callable[[Weights, str, None, str], TextEncoder]


class QueryVectors:
    """Encodes queries under prompts; the folder caches the vectors of texts between runs."""

    def __init__(
        self,
        folder: Path,
        weights: Weights,
        *,
        progress: Progress | None = None,
        load: LoadEncoder = load_text_encoder,
    ) -> None:
        self.cache = EmbeddingCache(folder, progress)
        self._weights, self._load = weights, load
        self._encoders: dict[str, TextEncoder] = {}

    def encode_queries(self, queries: Sequence[Query], prompt: Prompt, precision: str) -> Vectors:
        """Return one unit row per query (n, d): the weighted sum of its texts' vectors."""
        texts = list(dict.fromkeys(text for query in queries for text in query.texts))
        vectors = dict(zip(texts, self.encode_texts(texts, prompt, precision), strict=True))
        return np.stack(
            [combine(query.parts, [vectors[text] for text in query.texts]) for query in queries]
        )

    def encode_texts(self, texts: Sequence[str], prompt: Prompt, precision: str) -> Vectors:
        """Return one unit row per text (n, d): the mean over the prompt's templates."""
        by_template = [self._encode(texts, name, precision) for name in prompt.templates]
        if len(by_template) == 1:
            return by_template[0]
        mean = np.mean(by_template, axis=0)
        unit: Vectors = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _encode(self, texts: Sequence[str], template: str, precision: str) -> Vectors:
        def encode(missing: Sequence[str]) -> Vectors:
            encoder = self._encoder(precision)
            return encoder.encode(
                encoder.prepare([fill_prompt(template, text) for text in missing])
            )

        about = conditions(self._weights.digest, template, precision)
        return self.cache.embed(texts, about, encode)

    def _encoder(self, precision: str) -> TextEncoder:
        if precision not in self._encoders:
            self._encoders[precision] = self._load(self._weights, "auto", None, precision)
        return self._encoders[precision]
