"""Warnings about collections of texts in a language that a text tower does not know."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tusou.core.hits import UNKNOWN_LANGUAGE
from tusou.text.script import is_without_chinese

UnknownShare: TypeAlias = Callable[[Sequence[str]], list[float]]

_LEAST_SHARE = 0.05  # of the texts; fewer are single foreign queries, which any log has
_ENGLISH = "A dog runs through the snow with a ball in its mouth"


def warn_of_language(texts: Sequence[str], unknown_share: UnknownShare) -> str | None:
    """Return a sentence if many texts are in a language that the text tower does not know.

    Single words in Latin letters may be names, and are not counted. If most texts are such words
    and the tower does not read English, they are pointed out as well.
    """
    if not texts:
        return None
    unknown = [share >= UNKNOWN_LANGUAGE for share in unknown_share(texts)]
    latin = [is_without_chinese(text) for text in texts]
    if 2 * sum(latin) > len(texts) and unknown_share([_ENGLISH])[0] >= UNKNOWN_LANGUAGE:
        unknown = [either or both for either, both in zip(unknown, latin, strict=True)]
    count = sum(unknown)
    if count < _LEAST_SHARE * len(texts):
        return None
    return (
        f"warning: {count} of {len(texts)} texts are in a language that the model does not know, "
        "and what they find means little; give texts in its language, or a model for theirs "
        "(docs/models.md)."
    )
