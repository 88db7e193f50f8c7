"""Chinese-CLIP's tokenizer, with the text clean-up that its published figures were made with."""

import unicodedata
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import cn_clip
import numpy as np

from tusou.encoders.base import CONTEXT, Tokens
from tusou.text.foreign import foreign_share

_LONGEST_WORD = 200  # characters; a longer word is [UNK]
_MAX_CACHED = 30_000  # characters: more than any language needs, in bounded memory
_CURLY = frozenset("“”")
_ORDER_MATTERS = "\0"  # never in a text by then: cn_clip drops it


class ClipTokenizer:
    """cn_clip's tokenizer after the clean-up of its evaluation code, which its API leaves out.

    It returns the same ids for any string in a fraction of the time: cn_clip classifies every
    character several times, and here the results are cached. Tests compare the two.
    """

    context = CONTEXT

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

    @property
    def vocabulary(self) -> dict[str, int]:
        """The pieces of words and their ids, in the order of the ids."""
        return dict(self._vocabulary)

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch; texts are padded (0) to its longest, not to the whole context."""
        pieces = [self._pieces(text.lower()) for text in texts]
        rows = [[self._cls, *row[: CONTEXT - 2], self._sep] for row in pieces]
        width = max(map(len, rows), default=0)
        padded = [row + [0] * (width - len(row)) for row in rows]
        ids = np.array(padded, dtype=np.int64).reshape(len(rows), width)
        return Tokens(ids, tuple(len(row) > CONTEXT - 2 for row in pieces))

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that are [UNK], or that of its foreign letters.

        The vocabulary has pieces for words of most languages, and the tower knows none of them.
        """
        rows = (self._pieces(text.lower()) for text in texts)
        unknown = (row.count(self._unknown) / max(len(row), 1) for row in rows)
        return list(map(max, unknown, map(foreign_share, texts)))

    def _pieces(self, text: str) -> list[int]:
        spaced = text.translate(self._spaced)
        if _ORDER_MATTERS in spaced:
            words = self._stock.tokenize("".join('"' if char in _CURLY else char for char in text))
            ids: list[int] = self._stock.convert_tokens_to_ids(words)
            return ids
        ids = []
        for word in spaced.split():
            known = self._vocabulary.get(word)
            if known is None:
                ids += self._split(word)
            else:
                ids.append(known)
        return ids

    def _split(self, word: str) -> list[int]:
        """Split a word into the longest known pieces from the left; [UNK] if that is impossible."""
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


class _Spaced(dict[int, str]):
    """A table for `str.translate`: each character as cn_clip leaves it, with spaces around words.

    cn_clip drops, lowers, decomposes and separates character by character, with one exception:
    decomposing a word also sorts its combining marks. Most marks are dropped afterwards; for a text
    with one of those that stay, the stock tokenizer is used.
    """

    # Private functions of cn_clip are used: pyproject.toml pins the version.
    def __init__(self, stock: ModuleType) -> None:
        super().__init__()
        self._stock, self._basic = stock, stock.BasicTokenizer()

    def __missing__(self, code: int) -> str:
        spaced = self._space('"' if chr(code) in _CURLY else chr(code))
        if len(self) < _MAX_CACHED:
            self[code] = spaced
        return spaced

    def _space(self, character: str) -> str:
        separated = self._basic._tokenize_chinese_chars(self._basic._clean_text(character))  # noqa: SLF001
        plain = self._basic._run_strip_accents(separated.lower())  # noqa: SLF001
        if any(unicodedata.combining(char) for char in plain):
            return _ORDER_MATTERS
        return "".join(f" {char} " if self._stock._is_punctuation(char) else char for char in plain)  # noqa: SLF001


def _import_tokenizer() -> ModuleType:
    """Import this module alone: its package would import torchvision, 4 s and 150 MB."""
    path = Path(cn_clip.__path__[0], "clip", "bert_tokenizer.py")
    spec = spec_from_file_location("tusou_bert_tokenizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
