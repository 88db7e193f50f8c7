"""Embedding shards: the encoded slices of a source, from which a build is resumed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tusou.core.arrays import Ids, Vectors
from tusou.core.files import sha256_of, sync, write_file
from tusou.core.ids import Failure


@dataclass(frozen=True, slots=True)
class Shard:
    """The vectors of one slice of the source's rows, and the rows that could not be used."""

    rows: Ids  # (n,) positions among the source's rows, ascending
    checks: Ids  # (n,) CRC-32 of the stored bytes of each row
    vectors: Vectors  # (n, d)
    failures: tuple[Failure, ...]
    truncated: int = 0  # rows that are texts longer than the model reads


class ShardStore:
    """A folder of numbered shards, each of them complete or absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, shard: Shard) -> None:
        """Store a shard: the vectors first, then the record that makes it valid."""
        vectors = self._vectors(number)
        np.save(vectors, shard.vectors)
        sync(vectors)
        record = {
            "rows": shard.rows.tolist(),
            "checks": shard.checks.tolist(),
            "truncated": shard.truncated,
            "failures": [asdict(failure) for failure in shard.failures],
            "sha256": sha256_of(vectors),
        }
        write_file(self._record_path(number), json.dumps(record).encode())

    def has(self, number: int) -> bool:
        """Return whether a shard is stored and unchanged."""
        if not self._record_path(number).exists():
            return False
        vectors = self._vectors(number)
        return vectors.exists() and sha256_of(vectors) == self._record(number)["sha256"]

    def rows(self, number: int) -> Ids:
        """Return the rows of a stored shard."""
        return np.array(self._record(number)["rows"], np.int64)

    def checks(self, number: int) -> Ids:
        """Return the checksums of a stored shard's rows."""
        return np.array(self._record(number)["checks"], np.int64)

    def truncated(self, number: int) -> int:
        """Return the number of a stored shard's texts that are longer than the model reads."""
        return int(self._record(number)["truncated"])

    def failures(self, number: int) -> list[Failure]:
        """Return the rows of a stored shard that could not be used."""
        return [Failure(**failure) for failure in self._record(number)["failures"]]

    def vectors(self, number: int) -> Vectors:
        """Return a stored shard's vectors, in the order of its rows."""
        vectors: Vectors = np.load(self._vectors(number), allow_pickle=False)
        return vectors

    def _record(self, number: int) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self._record_path(number).read_bytes())
        return record

    def _record_path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

    def _vectors(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npy"
