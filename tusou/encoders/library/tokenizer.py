"""A library's tokenizer behind Tusou's protocol."""

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from tusou.bundle.model_record import EncoderRecord
from tusou.encoders.base import Tokens, Weights
from tusou.encoders.fast_tokenizer import replace_surrogates
from tusou.encoders.library.base import open_library_tokenizer

_CACHED_PIECES = 65_536


class LibraryTextTokenizer:
    """Tokenises by a model's library; its ids are counted from 1 in `Tokens`."""

    def __init__(self, weights: Weights, record: EncoderRecord) -> None:
        self._library = open_library_tokenizer(weights, record)
        self._lock = Lock()  # a library's tokenizer is not for several threads
        self._lower = record.lower_case
        self._full_width = record.padding == "max_length"
        self.context = record.context_length
        self.vocab_size = self._library.vocab_size + 1
        self._is_unknown = lru_cache(_CACHED_PIECES)(self._library.is_unknown)

    def prepare(self, texts: Sequence[str]) -> Tokens:
        rows, truncated = self._tokenize(texts)
        ids = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = row
            padded[: len(row)] += 1  # 0 is padding
        return Tokens(ids, tuple(truncated))

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        marks = self._marks()
        rows, _ = self._tokenize(texts)
        with self._lock:
            counts = [sum(map(self._is_unknown, row)) for row in rows]
        return [count / max(len(row) - marks, 1) for count, row in zip(counts, rows, strict=True)]

    def pad(
        self, ids: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
        """Return the library's ids of `Tokens.ids`, padded as it pads them, and their mask.

        The mask is 1 for tokens, and None where the model attends to the padding.
        """
        lengths = np.count_nonzero(ids, axis=1)
        width = self.context if self._full_width else int(lengths.max(initial=1))
        starts = (width - lengths if self._library.pads_left else np.zeros_like(lengths))[:, None]
        position = np.arange(width)
        present = (position >= starts) & (position < starts + lengths[:, None])
        padded = np.full((len(ids), width), self._library.pad_id, np.int64)
        padded[present] = ids[ids > 0] - 1
        return padded, present.astype(np.int64) if self._library.masks_padding else None

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        clean = list(map(replace_surrogates, texts))
        with self._lock:
            return self._library.tokenize([text.lower() if self._lower else text for text in clean])

    def _marks(self) -> int:
        """Count the start and end tokens, the only ones of an empty text."""
        ((row,), _) = self._tokenize([""])
        return len(row)
