"""A small vocabulary in CLIP's format, for models with random weights."""

from tusou.encoders.fast_tokenizer import BYTE_OF, WORD_END
from tusou.encoders.tokenizer_files import CLIP_END, CLIP_START

# Merges of a few words and one Chinese character; CLIP's own vocabulary has 48,894 merges.
WORDS = ["red", "dress", "dog", "running", "车"]


def clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the ids of all pieces, and the merges, in the order in which they apply."""
    character_of = {byte: character for character, byte in BYTE_OF.items()}
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        characters = [character_of[byte] for byte in word.encode()]
        parts = [*characters[:-1], characters[-1] + WORD_END]
        while len(parts) > 1:
            merges += [(parts[0], parts[1])] if (parts[0], parts[1]) not in merges else []
            parts = [parts[0] + parts[1], *parts[2:]]
    pieces = [*BYTE_OF, *(f"{character}{WORD_END}" for character in BYTE_OF)]
    pieces += ["".join(merge) for merge in merges]
    return {piece: n for n, piece in enumerate([*pieces, CLIP_START, CLIP_END])}, merges
