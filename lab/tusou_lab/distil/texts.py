"""The texts of a distillation: those of query files, and some of them held out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from tusou.core.errors import BadDataset, InputError
from tusou.data import open_dataset
from tusou.text.normalize import normalize_query

# Held out of the query files to measure the retention: a tenth, and no more than are needed.
HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 1000
MIN_TEXTS = 20


@dataclass(frozen=True, slots=True)
class DistillationTexts:
    """Different normalised texts; those held out are not trained on or used to compose texts."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def read_texts(
    sources: Sequence[str], judged: Iterable[str], rng: np.random.Generator
) -> DistillationTexts:
    """Read query files and splits, without the texts of judged queries.

    Raises BadDataset for files without usable texts, and for fewer than 20 texts.
    """
    texts: dict[str, None] = {}
    for source in sources:
        source_texts = normal_texts(query.text for query in open_dataset(source).queries())
        if not source_texts:
            raise BadDataset(f"{source} holds no query that can be searched for")
        texts |= dict.fromkeys(source_texts)
    left_out = {*normal_texts(judged)}
    usable = [text for text in texts if text not in left_out]
    if len(usable) < MIN_TEXTS:
        raise BadDataset(
            f"--queries has only {len(usable)} different texts besides the judged ones: give "
            f"{MIN_TEXTS} or more, such as the queries of a train split or a log"
        )
    count = min(MOST_HELD_OUT, max(1, int(len(usable) * HELD_OUT_SHARE)))
    held_out = {*rng.choice(len(usable), count, replace=False).tolist()}
    return DistillationTexts(
        tuple(text for number, text in enumerate(usable) if number not in held_out),
        tuple(text for number, text in enumerate(usable) if number in held_out),
    )


def normal_texts(texts: Iterable[str]) -> list[str]:
    """Return the different texts that the service would take, normalised as it does."""
    normal: dict[str, None] = {}
    for text in texts:
        try:
            normal[normalize_query(text)] = None
        except InputError:
            continue
    return list(normal)


def digest_of(texts: Iterable[str]) -> str:
    """Return the SHA-256 of texts in their order."""
    return sha256("\n".join(texts).encode()).hexdigest()
