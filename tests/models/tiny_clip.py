"""Tiny random models of CLIP's family, and its tokenizer with a small vocabulary."""

import json
from pathlib import Path

from tusou.encoders.fast_tokenizer import BYTE_OF, WORD_END
from tusou.encoders.tokenizer_files import CLIP_END, CLIP_START

# The merges of a few words and of one Chinese character, as CLIP's own has them of many.
WORDS = ["red", "dress", "dog", "running", "车"]
CLIP_CONTEXT = 12


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


def save_clip_vocabulary(folder: Path) -> int:
    """Write `vocab.json` and `merges.txt` as CLIP was published with; return the ids' number."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = clip_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return len(vocabulary)
