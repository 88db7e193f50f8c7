"""Prompts to compare (templates and their ensemble), and the vectors of queries under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.encoders import TextEncoder, Weights, load_text_encoder
from tusou.retrieval.query import Query, combine
from tusou.text.prompt import check_prompt, fill_prompt
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


def prompts_for(pool: Path) -> tuple[str, ...]:
    """Return prompts that suit a pool: those for shops if it is one of MUGE's files or folders."""
    is_shop = pool.name.startswith("MR_") or (pool.is_dir() and any(pool.glob("MR_*_imgs.tsv")))
    return SHOP_PROMPTS if is_shop else PHOTO_PROMPTS


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template, or the mean of the vectors under several templates."""

    label: str
    templates: tuple[str, ...]

    @classmethod
    def of(cls, template: str | None) -> "Prompt":
        """Return the prompt of one template; None leaves the query as it is."""
        return cls(template or PLACEHOLDER, (template or PLACEHOLDER,))


def with_ensemble(templates: tuple[str, ...]) -> tuple[Prompt, ...]:
    """Return a prompt per template and, if there are several, one for their mean."""
    mean = (Prompt(ENSEMBLE, templates),) if len(templates) > 1 else ()
    return (*map(Prompt.of, templates), *mean)


def read_templates(path: Path) -> tuple[str, ...]:
    """Read a file with a template per line; the query follows a line without `{query}`.

    A line `{query}` is the query as it is; blank lines and repeats are skipped. Raises BadDataset
    with every line that holds `{query}` twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    templates: dict[str, None] = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        template = line if PLACEHOLDER in line else line + PLACEHOLDER
        try:
            templates[check_prompt(template)] = None
        except InvalidRequest as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise BadDataset("\n  ".join([f"unusable templates: {len(problems)}", *problems]))
    if not templates:
        raise BadDataset(
            f"{path}: no templates; write one per line, for example {PHOTO_PROMPTS[1]}"
        )
    return tuple(templates)


class QueryVectors:
    """Encodes queries under prompts; the folder caches the vectors of texts between runs."""

    def __init__(self, folder: Path, weights: Weights, progress: Progress | None = None) -> None:
        self.cache = EmbeddingCache(folder, progress)
        self._weights = weights
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
            if precision not in self._encoders:
                encoder = load_text_encoder(self._weights, "auto", None, precision)
                self._encoders[precision] = encoder
            encoder = self._encoders[precision]
            return encoder.encode(
                encoder.prepare([fill_prompt(template, text) for text in missing])
            )

        about = conditions(self._weights.digest, template, precision)
        return self.cache.embed(texts, about, encode)
