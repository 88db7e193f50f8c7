"""The bank of queries that items are compared with: texts of a file, or vectors of queries."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from tusou.bundle.stages import HubRecord
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InputError, InvalidRequest
from tusou.core.files import DAMAGED_FILE_ERRORS
from tusou.data import open_dataset
from tusou.encoders import TextEncoder, Tower
from tusou.stages.hub_bias import HUB_ALPHA, HUB_K, HubCorrection
from tusou.text.normalize import normalize_query

# More are a fixed random sample: the time to compute the biases grows with the queries.
MAX_QUERIES = 10_000
_SEED = 20_241
_TEXT_BATCH = 64
_UNIT = 0.01  # how far the length of a vector may be from 1


@dataclass(frozen=True, slots=True, eq=False)
class QueryBank:
    """Queries by which hubs are corrected, and the settings of the correction."""

    texts: tuple[str, ...]  # normalised, each once
    vectors: Vectors | None  # (m, d) in place of texts
    k: int
    alpha: float

    @classmethod
    def read(cls, source: str, k: int | None = None, alpha: float | None = None) -> "QueryBank":
        """Read the queries of a file or a split, or vectors from a `.npy` file.

        A `k` of None is 128, or the number of queries if there are fewer. Raises BadDataset for a
        file that holds no usable query, and InvalidRequest for settings out of range.
        """
        texts: tuple[str, ...] = ()
        vectors: Vectors | None = None
        if source.endswith(".npy"):
            vectors = _sample_vectors(_read_vectors(Path(source)))
            size = len(vectors)
        else:
            texts = _sample(_read_texts(source))
            size = len(texts)
        settings = min(HUB_K, size) if k is None else k, HUB_ALPHA if alpha is None else alpha
        HubCorrection(np.empty((size, 1), np.float32), *settings)  # refuses wrong settings
        return cls(texts, vectors, *settings)

    @property
    def size(self) -> int:
        """The number of queries."""
        return len(self.texts) if self.vectors is None else len(self.vectors)

    @property
    def sha256(self) -> str:
        """The digest of what the queries are."""
        if self.vectors is None:
            return sha256("\n".join(self.texts).encode()).hexdigest()
        return sha256(np.ascontiguousarray(self.vectors).data).hexdigest()

    @property
    def record(self) -> HubRecord:
        """The manifest's record of the correction."""
        return HubRecord(bank_sha256=self.sha256, bank_size=self.size, k=self.k, alpha=self.alpha)

    def correction(self, encoder: TextEncoder) -> HubCorrection:
        """Return the hub correction, with texts encoded as queries are; InvalidRequest."""
        vectors = self._encode(encoder) if self.vectors is None else self.vectors
        if vectors.shape[1] != encoder.dim:
            raise InvalidRequest(
                f"the vectors of --query-bank have {vectors.shape[1]} numbers, those of the model "
                f"{encoder.dim}; encode the queries with the model of the items"
            )
        return HubCorrection(vectors, self.k, self.alpha)

    def check(self, items: Tower) -> None:
        """Raise InvalidRequest unless these are queries for items that a tower encodes."""
        if items == "text" and self.vectors is None:
            raise InvalidRequest(
                "texts are searched with images: give the vectors of images to --query-bank, in "
                "the vectors.npy of `tusou embed`"
            )

    def _encode(self, encoder: TextEncoder) -> Vectors:
        starts = range(0, len(self.texts), _TEXT_BATCH)
        batches = [self.texts[start : start + _TEXT_BATCH] for start in starts]
        return np.concatenate([encoder.encode(encoder.prepare(batch)) for batch in batches])


def _read_texts(source: str) -> list[str]:
    """Return the different texts of a file of queries that the service would take."""
    texts: dict[str, None] = {}
    for query in open_dataset(source).queries():
        try:
            texts[normalize_query(query.text)] = None
        except InputError:  # the service would refuse it
            continue
    if not texts:
        raise BadDataset(f"{source} holds no query that can be searched for")
    return list(texts)


def _sample(texts: list[str]) -> tuple[str, ...]:
    if len(texts) <= MAX_QUERIES:
        return tuple(texts)
    chosen = np.random.default_rng(_SEED).choice(len(texts), MAX_QUERIES, replace=False)
    return tuple(texts[position] for position in np.sort(chosen).tolist())


def _sample_vectors(vectors: Vectors) -> Vectors:
    if len(vectors) <= MAX_QUERIES:
        return vectors
    chosen = np.random.default_rng(_SEED).choice(len(vectors), MAX_QUERIES, replace=False)
    sample: Vectors = vectors[np.sort(chosen)]
    return sample


def _read_vectors(path: Path) -> Vectors:
    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
    except DAMAGED_FILE_ERRORS:
        raise BadDataset(f"{path} is not an array of NumPy") from None
    if vectors.ndim != 2 or vectors.dtype != np.float32 or not len(vectors):
        raise BadDataset(f"{path}: give an array of float32 with a row for each query")
    if not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT).all():  # False for NaN
        raise BadDataset(f"{path}: every row must be a vector of unit length")
    return vectors
