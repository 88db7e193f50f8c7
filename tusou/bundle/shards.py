"""Embedding shards: the encoded slices of a source, from which a build is resumed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tusou.bundle.array_file import save_array
from tusou.bundle.content import DIGEST_BYTES, ContentDigests
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import CorruptBundle
from tusou.core.files import DAMAGED_FILE_ERRORS, sha256_of
from tusou.core.ids import Failure
from tusou.core.sealed_json import read_sealed, write_sealed


@dataclass(frozen=True, slots=True)
class ReusedRows:
    """The rows of a shard whose vectors were taken from a published version."""

    version: str
    items: int
    encoding: dict[str, str | int]  # how that version encoded them
    exact: bool  # encoding them again, as that version did, would give the same bytes


@dataclass(frozen=True, slots=True)
class Shard:
    """One slice of the source's rows, without the vectors."""

    rows: Ids  # (n,) positions among the source's rows, ascending
    checks: Ids  # (n,) CRC-32 of the stored bytes of each row
    contents: ContentDigests  # (n, 16)
    failures: Sequence[Failure] = ()  # rows that could not be used
    truncated: int = 0  # rows that are texts longer than the model reads
    reused: Sequence[ReusedRows] = ()


class ShardStore:
    """A folder of numbered shards of one plan, each of them complete or absent."""

    def __init__(self, folder: Path, plan_digest: str) -> None:
        self._folder, self._plan_digest = folder, plan_digest
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, shard: Shard, vectors: Vectors) -> None:
        """Store a shard and its vectors, (n, d); the record comes last and makes it valid."""
        record, path = self._paths(number)
        save_array(path, vectors)
        content = {
            "plan": self._plan_digest,
            "rows": shard.rows.tolist(),
            "checks": shard.checks.tolist(),
            "contents": shard.contents.tobytes().hex(),
            "failures": [asdict(failure) for failure in shard.failures],
            "truncated": shard.truncated,
            "reused": [asdict(rows) for rows in shard.reused],
            "sha256": sha256_of(path),
        }
        write_sealed(record, content)

    def has(self, number: int) -> bool:
        """Return whether a shard of this plan is stored and every byte of it is unchanged."""
        record, path = self._paths(number)
        try:
            content, _ = read_sealed(record)
            same_plan = content["plan"] == self._plan_digest
            return bool(same_plan and sha256_of(path) == content["sha256"])
        except DAMAGED_FILE_ERRORS:
            return False

    def complete(self, count: int) -> bool:
        """Return whether the first `count` shards are all stored."""
        return all(map(self.has, range(count)))

    def read(self, number: int) -> Shard:
        """Return a stored shard; CorruptBundle if it has changed."""
        path = self._paths(number)[0]
        try:
            content, _ = read_sealed(path)
        except (OSError, ValueError):
            raise CorruptBundle(f"{path} has changed; run `tusou index` again") from None
        contents = np.frombuffer(bytes.fromhex(content["contents"]), np.uint8)
        return Shard(
            np.array(content["rows"], np.int64),
            np.array(content["checks"], np.int64),
            contents.reshape(-1, DIGEST_BYTES),
            [Failure(**failure) for failure in content["failures"]],
            content["truncated"],
            [ReusedRows(**rows) for rows in content["reused"]],
        )

    def vectors(self, number: int) -> Vectors:
        """Return a stored shard's vectors, (n, d), in the order of its rows."""
        vectors: Vectors = np.load(self._paths(number)[1], allow_pickle=False)
        return vectors

    def _paths(self, number: int) -> tuple[Path, Path]:
        return self._folder / f"{number:06d}.json", self._folder / f"{number:06d}.npy"
