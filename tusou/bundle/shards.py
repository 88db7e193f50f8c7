"""Embedding shards: the encoded slices of a source, from which a build is resumed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tusou.core.arrays import Ids, Vectors
from tusou.core.files import sha256_of, sync, write_file
from tusou.core.ids import Failure


@dataclass(frozen=True, slots=True)
class Shard:
    """One slice of the source's rows, without the vectors."""

    rows: Ids  # (n,) positions among the source's rows, ascending
    checks: Ids  # (n,) CRC-32 of the stored bytes of each row
    failures: list[Failure]  # rows that could not be used
    truncated: int = 0  # rows that are texts longer than the model reads


class ShardStore:
    """A folder of numbered shards, each of them complete or absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, shard: Shard, vectors: Vectors) -> None:
        """Store a shard and its vectors, (n, d); the record comes last and makes it valid."""
        record, path = self._paths(number)
        np.save(path, vectors)
        sync(path)
        content = {
            "rows": shard.rows.tolist(),
            "checks": shard.checks.tolist(),
            "failures": [asdict(failure) for failure in shard.failures],
            "truncated": shard.truncated,
            "sha256": sha256_of(path),
        }
        write_file(record, json.dumps(content).encode())

    def has(self, number: int) -> bool:
        """Return whether a shard is stored and its vectors are unchanged."""
        record, path = self._paths(number)
        if not (record.exists() and path.exists()):
            return False
        return bool(sha256_of(path) == json.loads(record.read_bytes())["sha256"])

    def read(self, number: int) -> Shard:
        """Return a stored shard."""
        content = json.loads(self._paths(number)[0].read_bytes())
        return Shard(
            np.array(content["rows"], np.int64),
            np.array(content["checks"], np.int64),
            [Failure(**failure) for failure in content["failures"]],
            content["truncated"],
        )

    def vectors(self, number: int) -> Vectors:
        """Return a stored shard's vectors, (n, d), in the order of its rows."""
        vectors: Vectors = np.load(self._paths(number)[1], allow_pickle=False)
        return vectors

    def _paths(self, number: int) -> tuple[Path, Path]:
        return self._folder / f"{number:06d}.json", self._folder / f"{number:06d}.npy"
