"""Tokenizers of other models than Chinese-CLIP, computed by the library `tokenizers`."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tusou.encoders.base import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ONE_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
WORD_END = "</w>"  # ends CLIP's pieces that end a word


class FastTokenizer:
    """A tokenizer of the library; thread-safe.

    `first_id` is what the vocabulary's 0 becomes in `Tokens`: 0 if it is padding, else 1. Texts are
    cut to `context` tokens, and keep the mark at their end, as transformers does it. `ends_once`
    drops what follows the first such mark: a text may spell it. So it may spell padding, which is
    dropped if its id is `pad_id`. `clean` is applied to a text first.
    """

    def __init__(
        self,
        tokenizer: "Tokenizer",
        context: int,
        first_id: int = 1,
        *,
        ends_once: bool = False,
        pad_id: int | None = None,
        clean: Callable[[str], str] | None = None,
    ) -> None:
        # A tokenizer's file may hold the length and the padding of the program that wrote it.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.context, self.first_id = tokenizer, context, first_id
        self._ends_once, self._clean = ends_once, clean
        self._pad_id = pad_id if first_id else 0
        self.vocab_size = tokenizer.get_vocab_size() + first_id
        self._marks = _trailing_marks(tokenizer)
        self._unknown = _UnknownPieces(tokenizer)

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch; texts are padded (0) to its longest, not to the whole context."""
        rows = [self._encode(text) for text in texts]
        cut_rows = [self._without_padding(self._cut(row)) for row in rows]
        ids = np.zeros((len(rows), max(map(len, cut_rows), default=0)), np.int64)
        for padded, row in zip(ids, cut_rows, strict=True):
            padded[: len(row)] = row
            padded[: len(row)] += self.first_id
        return Tokens(ids, tuple(len(row) > self.context for row in rows))

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that the vocabulary has no piece for.

        Those are the mark of unknown text, and bytes that are only a part of a character: a
        vocabulary with all bytes has an id for any text, also in languages that it knows no word
        of.
        """
        rows = [self._encode(text, marks=False) for text in texts]
        return [sum(map(self._unknown.__getitem__, row)) / max(len(row), 1) for row in rows]

    @property
    def is_cleaning(self) -> bool:
        """Return whether texts are changed before the library's tokenizer reads them."""
        return self._clean is not None

    def to_json(self) -> str:
        """Return the library's tokenizer as its file `tokenizer.json`, which cuts texts as here."""
        whole = self._tokenizer.to_str()
        tokenizer = type(self._tokenizer).from_str(whole)
        tokenizer.enable_truncation(self.context)
        text: str = tokenizer.to_str()
        return text

    def _encode(self, text: str, *, marks: bool = True) -> list[int]:
        """Return the vocabulary's ids of a whole text, with or without start and end."""
        text = replace_surrogates(text)
        text = self._clean(text) if self._clean else text
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=marks).ids
        return ids

    def _without_padding(self, row: list[int]) -> list[int]:
        return row if self._pad_id is None else [each for each in row if each != self._pad_id]

    def _cut(self, row: list[int]) -> list[int]:
        if len(row) > self.context:
            row = row[: self.context - self._marks] + row[len(row) - self._marks :]
        return row[: row.index(row[-1]) + 1] if self._ends_once else row


class _UnknownPieces(dict[int, bool]):
    """Maps each id of the vocabulary to True if it stands for no text; computed on first use."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._mark = getattr(tokenizer.model, "unk_token", None)
        self._of_bytes = "ByteLevel" in repr(tokenizer.pre_tokenizer)

    def __missing__(self, number: int) -> bool:
        piece = self._tokenizer.id_to_token(number) or ""
        fragment = self._of_bytes and is_fragment(piece)
        unknown = piece in {self._mark, "<unk>", "[UNK]"}
        self[number] = unknown or fragment or is_one_byte(piece)
        return self[number]


def _trailing_marks(tokenizer: "Tokenizer") -> int:
    """Count the special tokens that the tokenizer puts at the end of each text."""
    mask: list[int] = tokenizer.encode("a").special_tokens_mask
    return mask[::-1].index(0) if 0 in mask else 0


def replace_surrogates(text: str) -> str:
    """Return a text that a library takes: none takes a lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_one_byte(piece: str) -> bool:
    """Return whether a piece of SentencePiece stands for a byte of an unknown character."""
    return _ONE_BYTE.fullmatch(piece) is not None


def is_fragment(piece: str) -> bool:
    """Return whether the bytes that a piece's characters stand for are not whole characters."""
    try:
        bytes(BYTE_OF[character] for character in piece.removesuffix(WORD_END)).decode()
    except UnicodeDecodeError:
        return True
    except KeyError:  # a mark such as the end of a text
        return False
    return False


def _byte_characters() -> dict[str, int]:
    """Return the characters that vocabularies of bytes, since GPT-2, write the 256 bytes with."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(256 + n): byte for n, byte in enumerate(hidden)
    }


# The byte that each character stands for, in the order of their ids in CLIP's vocabulary.
BYTE_OF = _byte_characters()
