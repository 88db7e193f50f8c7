"""The build plan: which rows of the pool to encode, in which order, fixed before the first batch.

Embeddings depend on what shares a batch, so batches and shards are cut here, once; a build that
is killed and resumed then encodes the same batches as one that was not.
"""

import json
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tusou.datasets.muge import ImagesFile, PictureRow
from tusou.errors import BadDataset
from tusou.files import replace_folder, write_file
from tusou.types import Failure


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that decides the shards' bytes: equal inputs may share finished shards."""

    images: str
    images_size: int
    images_mtime_ns: int
    model_sha256: str
    device: str
    precision: str  # of the image tower, resolved
    shard_rows: int
    batch_rows: int
    libraries: dict[str, str]


class Plan:
    """A scanned pool on disk: usable rows, their ids, and the lines that failed already."""

    def __init__(self, folder: Path) -> None:
        head = json.loads((folder / "plan.json").read_bytes())
        self._folder = folder
        self._places: npt.NDArray[np.int64] = np.load(folder / "places.npy", allow_pickle=False)
        self.inputs = Inputs(**head["inputs"])
        self.source_sha256: str = head["source_sha256"]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def shard_count(self) -> int:
        """Count the shards that the rows fill, the last one maybe in part."""
        return -(-len(self) // self.inputs.shard_rows)

    def shard(self, number: int) -> range:
        """Give the positions of one shard's rows."""
        start = number * self.inputs.shard_rows
        return range(start, min(start + self.inputs.shard_rows, len(self)))

    def places(self, rows: range) -> npt.NDArray[np.int64]:
        """Give (line, byte offset, length) of the rows' pictures, shape (n, 3)."""
        return self._places[rows.start : rows.stop]

    def ids(self) -> Iterator[str]:
        """Yield the item id of every row, in order."""
        with (self._folder / "ids.txt").open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")

    def failures(self) -> list[Failure]:
        """List the lines that the scan could not use."""
        text = (self._folder / "failures.json").read_bytes()
        return [Failure(**failure) for failure in json.loads(text)]

    @classmethod
    def matching(cls, folder: Path, inputs: Inputs) -> Self | None:
        """Open the plan of an interrupted build if it was made for the same inputs."""
        try:
            plan = cls(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return plan if plan.inputs == inputs else None


def make_plan(folder: Path, inputs: Inputs) -> Plan:
    """Scan the pool into an empty folder, in memory that grows by 32 bytes a row."""
    replace_folder(folder)
    pool = ImagesFile(Path(inputs.images))
    places, digests, failures = _scan(pool, folder / "ids.all.txt")
    first = _first_of_each(digests)
    failures += _keep_ids(folder, places, first)
    if not first.any():
        seen = "; ".join(f"line {bad.line}: {bad.reason}" for bad in failures[:5])
        raise BadDataset(f"{inputs.images}: no line can be used ({seen or 'the file is empty'})")
    np.save(folder / "places.npy", places[first])
    listed = [asdict(bad) for bad in sorted(failures, key=lambda bad: bad.line)]
    write_file(folder / "failures.json", json.dumps(listed, ensure_ascii=False).encode())
    head = {"inputs": asdict(inputs), "source_sha256": pool.sha256}
    write_file(folder / "plan.json", json.dumps(head, ensure_ascii=False).encode())
    return Plan(folder)


def _scan(
    pool: ImagesFile, ids: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], list[Failure]]:
    places, digests, failures = array("q"), array("Q"), list[Failure]()
    with ids.open("w", encoding="utf-8", newline="\n") as file:
        for row in pool.scan():
            if not isinstance(row, PictureRow):
                failures.append(row)
                continue
            places.extend((row.line, row.offset, row.length))
            digest = blake2b(row.item_id.encode(), digest_size=8).digest()
            digests.append(int.from_bytes(digest, "little"))
            file.write(row.item_id + "\n")
    columns = np.frombuffer(places, np.int64).reshape(-1, 3)
    return columns, np.frombuffer(digests, np.uint64), failures


def _first_of_each(digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Mark the first row of every id; 64-bit digests of a billion ids collide once in 40 pools."""
    order = np.argsort(digests, kind="stable")
    again = digests[order[1:]] == digests[order[:-1]]
    first = np.ones(len(digests), np.bool_)
    first[order[1:][again]] = False
    return first


def _keep_ids(
    folder: Path, places: npt.NDArray[np.int64], first: npt.NDArray[np.bool_]
) -> list[Failure]:
    """Copy the ids of first rows to `ids.txt`; return the others as failures."""
    every, kept = folder / "ids.all.txt", folder / "ids.txt"
    failures = []
    with (
        every.open(encoding="utf-8", newline="\n") as source,
        kept.open("w", encoding="utf-8", newline="\n") as target,
    ):
        for row, line in enumerate(source):
            if first[row]:
                target.write(line)
            else:
                failures.append(Failure(int(places[row, 0]), line.rstrip("\n"), "duplicate id"))
    every.unlink()
    return failures
