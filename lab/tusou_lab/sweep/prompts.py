"""Prompts to compare (templates and their ensemble), and the vectors of queries under them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.core.unit_vectors import join_parts, mean_of_units
from tusou.encoders import ModelWeights, TextEncoder, Weights, load_text_encoder
from tusou.retrieval.query import Query, combine
from tusou.text.prompt import fill_prompt
from tusou.text.script import common_language
from tusou_lab.embedding_cache import EmbeddingCache, conditions

PLACEHOLDER = "{query}"
ENSEMBLE = "ensemble"

# The second and third were published for queries of the MUGE contest, the fourth for its images.
SHOP_PROMPTS = (
    PLACEHOLDER,
    "这是一个商品搜索：{query}",
    "用户正在搜索电商商品：{query}",
    "这是一张图片，里面存在商品：{query}",
)
# For other images: descriptions of photos, as in cn_clip's zero-shot templates.
PHOTO_PROMPTS = (
    PLACEHOLDER,
    "一张照片：{query}",
    "这是一张图片：{query}",
    "图片描述：{query}",
)


# For texts in English: as in CLIP's zero-shot templates.
ENGLISH_PROMPTS = (
    PLACEHOLDER,
    "a photo of {query}",
    "a picture of {query}",
    "an image that shows {query}",
)


def prompts_for(pool: Path, texts: Iterable[str]) -> tuple[str, ...]:
    """Return prompts that suit the language of the queries and the pool.

    A pool is a shop's if it is one of MUGE's files or folders.
    """
    if common_language(texts) == "English":
        return ENGLISH_PROMPTS
    is_shop = pool.name.startswith("MR_") or (pool.is_dir() and any(pool.glob("MR_*_imgs.tsv")))
    return SHOP_PROMPTS if is_shop else PHOTO_PROMPTS


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template, or the mean of the vectors under several templates."""

    label: str
    templates: tuple[str, ...]

    @classmethod
    def of(cls, *templates: str) -> "Prompt":
        """Return the prompt of a bundle's templates; without any, the query stays as it is."""
        used = templates or (PLACEHOLDER,)
        return cls(used[0] if len(used) == 1 else ENSEMBLE, used)


def with_ensemble(templates: tuple[str, ...]) -> tuple[Prompt, ...]:
    """Return a prompt per template and, if there are several, one for their mean."""
    mean = (Prompt(ENSEMBLE, templates),) if len(templates) > 1 else ()
    return (*map(Prompt.of, templates), *mean)


class QueryVectors:
    """Encodes queries under prompts; the folder caches the vectors of texts between runs."""

    def __init__(self, folder: Path, model: ModelWeights, progress: Progress | None = None) -> None:
        self.cache = EmbeddingCache(folder, progress)
        self._model = model
        self._encoders: dict[tuple[str, str], TextEncoder] = {}  # by digest and precision

    def encode_queries(self, queries: Sequence[Query], prompt: Prompt, precision: str) -> Vectors:
        """Return one unit row per query (n, d): the weighted sum of its texts' vectors."""
        texts = list(dict.fromkeys(text for query in queries for text in query.texts))
        vectors = dict(zip(texts, self.encode_texts(texts, prompt, precision), strict=True))
        return np.stack(
            [combine(query.parts, [vectors[text] for text in query.texts]) for query in queries]
        )

    def encode_texts(self, texts: Sequence[str], prompt: Prompt, precision: str) -> Vectors:
        """Return one unit row per text (n, d): the mean over the prompt's templates."""
        parts = [
            mean_of_units(
                [self._encode(texts, member, name, precision) for name in prompt.templates]
            )
            for member in self._model.members
        ]
        return parts[0] if len(parts) == 1 else join_parts(parts, self._model.weights)

    def _encode(
        self, texts: Sequence[str], weights: Weights, template: str, precision: str
    ) -> Vectors:
        key = weights.digest, precision

        def encode(missing: Sequence[str]) -> Vectors:
            if key not in self._encoders:
                self._encoders[key] = load_text_encoder(weights, "auto", None, precision)
            encoder = self._encoders[key]
            return encoder.encode(
                encoder.prepare([fill_prompt(template, text) for text in missing])
            )

        about = conditions(weights.digest, template, precision)
        return self.cache.embed(texts, about, encode)
