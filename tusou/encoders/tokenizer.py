"""Texts to token ids, exactly as the published figures of Chinese-CLIP were made."""

import unicodedata
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import cn_clip
import numpy as np

from tusou.core.errors import BadModel
from tusou.encoders.architecture import TextShape
from tusou.encoders.base import Tokens

CONTEXT = 52  # tokens a text may have, [CLS] and [SEP] included

_LONGEST_WORD = 200  # characters; what is longer is unknown
_CHARACTERS_KEPT = 30_000  # more than any language needs, and no more memory than that
_CURLY = frozenset("“”")
_ORDER_MATTERS = "\0"  # never in a text by then: cn_clip drops it


class ClipTokenizer:
    """cn_clip's tokenizer behind the clean-up of its evaluation code, which its API leaves out.

    The same ids on any string at a fraction of the time: cn_clip asks about every character
    several times, and here its answers are kept. Tests hold the two against each other.
    """

    def __init__(self) -> None:
        module = _import_tokenizer()
        self._stock = module.FullTokenizer()
        self._spaced = _Spaced(module)
        self._vocabulary: dict[str, int] = self._stock.vocab
        self.vocab_size = len(self._vocabulary)
        self._longest_piece = max(map(len, self._vocabulary))
        self._cls, self._sep, self._unknown = (
            self._vocabulary[name] for name in ("[CLS]", "[SEP]", "[UNK]")
        )

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch; padding (0) goes to the longest text, not to the whole context."""
        pieces = [self._pieces(text.lower()) for text in texts]
        rows = [[self._cls, *row[: CONTEXT - 2], self._sep] for row in pieces]
        width = max(map(len, rows), default=0)
        padded = [row + [0] * (width - len(row)) for row in rows]
        ids = np.array(padded, dtype=np.int64).reshape(len(rows), width)
        return Tokens(ids, tuple(len(row) > CONTEXT - 2 for row in pieces))

    def _pieces(self, text: str) -> list[int]:
        spaced = text.translate(self._spaced)
        if _ORDER_MATTERS in spaced:
            words = self._stock.tokenize("".join('"' if one in _CURLY else one for one in text))
            ids: list[int] = self._stock.convert_tokens_to_ids(words)
            return ids
        ids = []
        for word in spaced.split():
            known = self._vocabulary.get(word)
            if known is None:
                ids += self._cut(word)
            else:
                ids.append(known)
        return ids

    def _cut(self, word: str) -> list[int]:
        """Cut a word into the longest pieces known, from the left; unknown if one is missing."""
        ids: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            prefix = "##" if start else ""
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                known = self._vocabulary.get(prefix + word[start:end])
                if known is not None:
                    ids.append(known)
                    start = end
                    break
            else:
                return [self._unknown]
        return ids or [self._unknown]


def check_tokens_fit(shape: TextShape, vocab_size: int) -> None:
    """Raise BadModel for a tower with fewer tokens or places than the tokenizer uses."""
    if shape.vocab_size < vocab_size:
        raise BadModel(f"the model knows {shape.vocab_size} tokens; cn_clip's has {vocab_size}")
    if shape.text_max_position_embeddings < CONTEXT:
        raise BadModel(f"the model has fewer than the {CONTEXT} text positions needed")


class _Spaced(dict[int, str]):
    """For `str.translate`: each character as cn_clip leaves it, words apart from one another.

    cn_clip drops, lowers, decomposes and separates character by character, but for one thing:
    decomposing a word also sorts its combining marks. The sorted marks are dropped; but a few that
    are sorted with them stay, and with one of those it is a matter for cn_clip itself.
    """

    def __init__(self, stock: ModuleType) -> None:
        super().__init__()
        self._stock, self._basic = stock, stock.BasicTokenizer()

    def __missing__(self, code: int) -> str:
        spaced = self._space('"' if chr(code) in _CURLY else chr(code))
        if len(self) < _CHARACTERS_KEPT:
            self[code] = spaced
        return spaced

    def _space(self, character: str) -> str:
        apart = self._basic._tokenize_chinese_chars(self._basic._clean_text(character))  # noqa: SLF001
        plain = self._basic._run_strip_accents(apart.lower())  # noqa: SLF001
        if any(unicodedata.combining(one) for one in plain):
            return _ORDER_MATTERS
        return "".join(f" {one} " if self._stock._is_punctuation(one) else one for one in plain)  # noqa: SLF001


def _import_tokenizer() -> ModuleType:
    """Import the one module: its package would import torchvision, 4 s and 150 MB, for nothing."""
    path = Path(cn_clip.__path__[0], "clip", "bert_tokenizer.py")
    spec = spec_from_file_location("tusou_bert_tokenizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
