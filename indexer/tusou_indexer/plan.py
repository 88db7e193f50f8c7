"""The build plan: which rows of the pool to encode, in which order, fixed before the first batch.

Embeddings depend on what shares a batch, so batches and shards are cut here, once; a build that
is killed and resumed then encodes the same batches as one that was not.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tusou.bundle.bundle import FILES
from tusou.bundle.item_reader import ITSELF, file_name
from tusou.bundle.manifest import Source
from tusou.core.errors import BadDataset
from tusou.core.files import replace_folder, write_file
from tusou.core.ids import Failure, ItemKind
from tusou.data import ItemPool
from tusou.data.base import ItemRow


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that decides the shards' bytes: equal inputs may share finished shards."""

    source: str  # the absolute path of what the pool was opened at
    split: str | None
    stamp: str  # changes when a file there does
    model_sha256: str
    device: str
    precision: str  # of the tower that encodes the items, resolved
    backend: str  # that computes it, resolved
    shard_rows: int
    batch_rows: int
    libraries: dict[str, str]


class Plan:
    """A scanned pool on disk: where its rows lie, their ids, and what failed already."""

    def __init__(self, folder: Path) -> None:
        head = json.loads((folder / "plan.json").read_bytes())
        self._folder = folder
        self._spans: npt.NDArray[np.int64] = np.load(folder / "spans.npy", allow_pickle=False)
        self.inputs = Inputs(**head["inputs"])
        self.source = Source(**head["source"])
        self.kind: ItemKind = head["kind"]
        self.files: list[str] = json.loads((folder / FILES).read_bytes())

    def __len__(self) -> int:
        return len(self._spans)

    @property
    def shard_count(self) -> int:
        """Count the shards that the rows fill, the last one maybe in part."""
        return -(-len(self) // self.inputs.shard_rows)

    def shard(self, number: int) -> range:
        """Give the positions of one shard's rows."""
        start = number * self.inputs.shard_rows
        return range(start, min(start + self.inputs.shard_rows, len(self)))

    def spans(self, rows: range) -> npt.NDArray[np.int64]:
        """Give (line, file, byte offset, length) of the rows' items, shape (n, 4)."""
        return self._spans[rows.start : rows.stop]

    @property
    def paths(self) -> list[Path]:
        """The pool's files by number."""
        return [Path(self.inputs.source, name) for name in self.files]

    def failure(self, row: int, item_id: str, reason: str) -> Failure:
        """Say that a row gave no item."""
        return _failure(self._spans[row], self.files, item_id, reason)

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


def make_plan(folder: Path, inputs: Inputs, pool: ItemPool) -> Plan:
    """Scan the pool into an empty folder, in memory that grows by 40 bytes a row."""
    replace_folder(folder)
    places, digests, failures = _scan(pool, folder / "ids.all.txt")
    first = _first_of_each(digests)
    names = [file_name(inputs.source, path) for path in pool.files]
    again = _keep_ids(folder, first)
    failures += [_failure(places[row], names, one, "duplicate id") for row, one in again]
    if not first.any():
        seen = "; ".join(f"line {bad.line}: {bad.reason}" for bad in failures[:5])
        raise BadDataset(f"{inputs.source}: no line can be used ({seen or 'the file is empty'})")
    np.save(folder / "spans.npy", places[first])
    listed = [asdict(bad) for bad in sorted(failures, key=lambda bad: bad.line)]
    write_file(folder / "failures.json", json.dumps(listed).encode())
    write_file(folder / FILES, json.dumps(names).encode())
    source = Source(
        path=inputs.source,
        split=inputs.split,
        encoding=pool.encoding,
        files=len(names),
        size=pool.size,
        sha256=pool.sha256,
    )
    head = {"inputs": asdict(inputs), "source": source.model_dump(), "kind": pool.kind}
    write_file(folder / "plan.json", json.dumps(head).encode())
    return Plan(folder)


def _scan(
    pool: ItemPool, ids: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], list[Failure]]:
    places, digests, failures = array("q"), array("Q"), list[Failure]()
    with ids.open("w", encoding="utf-8", newline="\n") as file:
        for row in pool.scan():
            if not isinstance(row, ItemRow):
                failures.append(row)
                continue
            places.extend((row.line, row.file, row.offset, row.length))
            digest = blake2b(row.item_id.encode(), digest_size=8).digest()
            digests.append(int.from_bytes(digest, "little"))
            file.write(row.item_id + "\n")
    columns = np.frombuffer(places, np.int64).reshape(-1, 4)
    return columns, np.frombuffer(digests, np.uint64), failures


def _first_of_each(digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Mark the first row of every id; 64-bit digests of a billion ids collide once in 40 pools."""
    order = np.argsort(digests, kind="stable")
    again = digests[order[1:]] == digests[order[:-1]]
    first = np.ones(len(digests), np.bool_)
    first[order[1:][again]] = False
    return first


def _keep_ids(folder: Path, first: npt.NDArray[np.bool_]) -> list[tuple[int, str]]:
    """Copy the ids of first rows to `ids.txt`; return the other rows and their ids."""
    every, kept = folder / "ids.all.txt", folder / "ids.txt"
    again = []
    with (
        every.open(encoding="utf-8", newline="\n") as source,
        kept.open("w", encoding="utf-8", newline="\n") as target,
    ):
        for row, line in enumerate(source):
            if first[row]:
                target.write(line)
            else:
                again.append((row, line.rstrip("\n")))
    every.unlink()
    return again


def _failure(
    place: npt.NDArray[np.int64], files: Sequence[str], item_id: str, reason: str
) -> Failure:
    line, file, *_ = place.tolist()
    return Failure(line, item_id, reason, None if files[file] == ITSELF else files[file])
