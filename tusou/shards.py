"""Embedding shards: finished slices of a pool, which nobody has to encode again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tusou.files import sha256_of, sync, write_file
from tusou.types import Failure, Ids, Vectors


@dataclass(frozen=True, slots=True)
class Shard:
    """The vectors of one slice of the pool's rows, and the rows of it that gave none."""

    rows: Ids  # (n,) positions among the pool's rows, ascending
    vectors: Vectors  # (n, d)
    failures: tuple[Failure, ...]


class ShardStore:
    """A folder of numbered shards; a shard is there wholly or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, shard: Shard) -> None:
        """Store a shard: the vectors first, then the record that makes them count."""
        vectors = self._vectors(number)
        np.save(vectors, shard.vectors)
        sync(vectors)
        record = {
            "rows": shard.rows.tolist(),
            "failures": [asdict(failure) for failure in shard.failures],
            "sha256": sha256_of(vectors),
        }
        write_file(self._record(number), json.dumps(record, ensure_ascii=False).encode())

    def has(self, number: int) -> bool:
        """Tell whether a shard is there, whole and unchanged."""
        if not self._record(number).exists():
            return False
        recorded = json.loads(self._record(number).read_bytes())["sha256"]
        vectors = self._vectors(number)
        return vectors.exists() and sha256_of(vectors) == recorded

    def rows(self, number: int) -> Ids:
        """List the rows that a stored shard has vectors of."""
        return np.array(json.loads(self._record(number).read_bytes())["rows"], np.int64)

    def failures(self, number: int) -> list[Failure]:
        """List the rows that gave a stored shard no vector."""
        record = json.loads(self._record(number).read_bytes())
        return [Failure(**failure) for failure in record["failures"]]

    def vectors(self, number: int) -> Vectors:
        """Load a stored shard's vectors, in the order of its rows."""
        vectors: Vectors = np.load(self._vectors(number), allow_pickle=False)
        return vectors

    def _record(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

    def _vectors(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npy"
