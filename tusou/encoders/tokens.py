"""Texts to token ids, exactly as the published figures of Chinese-CLIP were made."""

from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import cn_clip
import numpy as np

from tusou.encoders.base import Tokens

CONTEXT = 52  # tokens a text may have, [CLS] and [SEP] included

_QUOTES = str.maketrans("“”", '""')


class ClipTokenizer:
    """cn_clip's tokenizer behind the clean-up of its evaluation code, which its API leaves out."""

    def __init__(self) -> None:
        self._tokenizer = _import_tokenizer().FullTokenizer()
        vocabulary = self._tokenizer.vocab
        self.vocab_size = len(vocabulary)
        self._cls, self._sep = vocabulary["[CLS]"], vocabulary["[SEP]"]

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch; padding (0) goes to the longest text, not to the whole context."""
        pieces = [self._pieces(text) for text in texts]
        rows = [[self._cls, *row[: CONTEXT - 2], self._sep] for row in pieces]
        ids = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
        for target, row in zip(ids, rows, strict=True):
            target[: len(row)] = row
        return Tokens(ids, tuple(len(row) > CONTEXT - 2 for row in pieces))

    def _pieces(self, text: str) -> list[int]:
        words = self._tokenizer.tokenize(text.lower().translate(_QUOTES))
        ids: list[int] = self._tokenizer.convert_tokens_to_ids(words)
        return ids


def _import_tokenizer() -> ModuleType:
    """Import the one module: its package would import torchvision, 4 s and 150 MB, for nothing."""
    path = Path(cn_clip.__path__[0], "clip", "bert_tokenizer.py")
    spec = spec_from_file_location("tusou_bert_tokenizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
