"""The build plan: which rows of the source to encode, in which batches and shards.

The last digits of an embedding depend on what shares its batch. Batches are therefore fixed here,
before the first one is encoded, so that a build that is killed and resumed gives the same bytes.
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
from tusou.bundle.item_reader import ITSELF, source_file_name
from tusou.bundle.manifest import Source
from tusou.core.errors import BadDataset
from tusou.core.files import replace_folder, write_file
from tusou.core.ids import Failure, ItemKind
from tusou.data import ItemPool
from tusou.data.base import ItemRow


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """Everything that the bytes of the shards depend on; equal inputs can share finished shards."""

    source: str  # absolute path
    split: str | None
    stamp: str  # changes when a file of the source does
    model_sha256: str
    device: str
    precision: str  # of the tower that encodes the items, never `auto`
    backend: str  # likewise
    shard_rows: int
    batch_rows: int
    libraries: dict[str, str]


class Plan:
    """A scanned source: the spans and ids of its rows, and the lines that cannot be used."""

    def __init__(self, folder: Path) -> None:
        head = json.loads((folder / "plan.json").read_bytes())
        self._folder = folder
        self._spans: npt.NDArray[np.int64] = np.load(folder / "spans.npy", allow_pickle=False)
        self.inputs = BuildInputs(**head["inputs"])
        self.source = Source(**head["source"])
        self.kind: ItemKind = head["kind"]
        self.files: list[str] = json.loads((folder / FILES).read_bytes())

    def __len__(self) -> int:
        return len(self._spans)

    @property
    def shard_count(self) -> int:
        """The number of shards, of which the last may be shorter."""
        return -(-len(self) // self.inputs.shard_rows)

    def shard(self, number: int) -> range:
        start = number * self.inputs.shard_rows
        return range(start, min(start + self.inputs.shard_rows, len(self)))

    def batches(self, number: int) -> Iterator[range]:
        """Yield the row positions of each batch of one shard."""
        shard, size = self.shard(number), self.inputs.batch_rows
        for start in range(shard.start, shard.stop, size):
            yield range(start, min(start + size, shard.stop))

    def spans(self, rows: range) -> npt.NDArray[np.int64]:
        """Return line, file, byte offset and length of the rows, shape (n, 4)."""
        return self._spans[rows.start : rows.stop]

    @property
    def paths(self) -> list[Path]:
        return [Path(self.inputs.source, name) for name in self.files]

    def failure(self, row: int, item_id: str, reason: str) -> Failure:
        return _failure(self._spans[row], self.files, item_id, reason)

    def ids(self) -> Iterator[str]:
        """Yield the item id of every row, in order."""
        with (self._folder / "ids.txt").open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")

    def failures(self) -> list[Failure]:
        """Return the lines that the scan could not use."""
        text = (self._folder / "failures.json").read_bytes()
        return [Failure(**failure) for failure in json.loads(text)]

    @classmethod
    def matching(cls, folder: Path, inputs: BuildInputs) -> Self | None:
        """Return the plan in a folder if it was made for the same inputs, else None."""
        try:
            plan = cls(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return plan if plan.inputs == inputs else None


def make_plan(folder: Path, inputs: BuildInputs, pool: ItemPool) -> Plan:
    """Scan a pool and write its plan; memory grows by 40 bytes a row.

    Raises BadDataset when no line can be used.
    """
    replace_folder(folder)
    spans, digests, failures = _scan(pool, folder / "ids.all.txt")
    first = _first_of_each(digests)
    names = [source_file_name(inputs.source, path) for path in pool.files]
    duplicates = _write_ids(folder, first)
    failures += [
        _failure(spans[row], names, item_id, "duplicate id") for row, item_id in duplicates
    ]
    if not first.any():
        reasons = "; ".join(f"line {bad.line}: {bad.reason}" for bad in failures[:5])
        raise BadDataset(f"{inputs.source}: no line can be used ({reasons or 'the file is empty'})")
    np.save(folder / "spans.npy", spans[first])
    records = [asdict(bad) for bad in sorted(failures, key=lambda bad: bad.line)]
    write_file(folder / "failures.json", json.dumps(records).encode())
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
    spans, digests, failures = array("q"), array("Q"), list[Failure]()
    with ids.open("w", encoding="utf-8", newline="\n") as file:
        for row in pool.scan():
            if not isinstance(row, ItemRow):
                failures.append(row)
                continue
            spans.extend((row.line, row.file, row.offset, row.length))
            digest = blake2b(row.item_id.encode(), digest_size=8).digest()
            digests.append(int.from_bytes(digest, "little"))
            file.write(row.item_id + "\n")
    columns = np.frombuffer(spans, np.int64).reshape(-1, 4)
    return columns, np.frombuffer(digests, np.uint64), failures


def _first_of_each(digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Mark the first row of every id.

    Two of a billion ids have the same 64-bit digest in one of 40 sources.
    """
    order = np.argsort(digests, kind="stable")
    repeated = digests[order[1:]] == digests[order[:-1]]
    first = np.ones(len(digests), np.bool_)
    first[order[1:][repeated]] = False
    return first


def _write_ids(folder: Path, first: npt.NDArray[np.bool_]) -> list[tuple[int, str]]:
    """Copy the ids of the first rows to `ids.txt`; return the duplicates as row and id."""
    every, unique = folder / "ids.all.txt", folder / "ids.txt"
    duplicates = []
    with (
        every.open(encoding="utf-8", newline="\n") as source,
        unique.open("w", encoding="utf-8", newline="\n") as target,
    ):
        for row, line in enumerate(source):
            if first[row]:
                target.write(line)
            else:
                duplicates.append((row, line.rstrip("\n")))
    every.unlink()
    return duplicates


def _failure(
    span: npt.NDArray[np.int64], files: Sequence[str], item_id: str, reason: str
) -> Failure:
    line, file, *_ = span.tolist()
    return Failure(line, item_id, reason, None if files[file] == ITSELF else files[file])
