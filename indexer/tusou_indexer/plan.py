"""The build plan: the rows of the source, and the shards in which they are encoded.

The last digits of a text's vector depend on what shares its batch. Shards are therefore fixed here,
before the first one is encoded, so that a build that is killed and resumed gives the same bytes.
"""

from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import save_array
from tusou.bundle.item_reader import ITSELF, source_file_name
from tusou.bundle.manifest import Source
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset, CorruptBundle
from tusou.core.files import DAMAGED_FILE_ERRORS, create_file, replace_folder, sha256_of
from tusou.core.ids import Failure, ItemKind
from tusou.core.sealed_json import read_sealed, write_sealed
from tusou.data import ItemPool
from tusou.data.base import ItemRow
from tusou_indexer.build_inputs import BuildInputs

_HEAD, _IDS, _SPANS = "plan.json", "ids.txt", "spans.npy"


class Plan:
    """A scanned source: the spans and ids of its rows, and the lines that cannot be used."""

    def __init__(self, folder: Path) -> None:
        head, self.digest = read_sealed(folder / _HEAD)  # the digest stands for every byte
        self._folder = folder
        self._digests: dict[str, str] = head["sha256"]
        self.verify()
        self._spans: npt.NDArray[np.int64] = np.load(folder / _SPANS, allow_pickle=False)
        self.inputs = BuildInputs(**head["inputs"])
        self.source = Source(**head["source"])
        self.rows_read: int = head["rows_read"]
        self.skipped: int = head["skipped"]  # files that are not items
        self.skipped_files: list[str] = head["skipped_files"]  # a sentence for each kind
        self.kind: ItemKind = head["kind"]
        self.files: list[str] = head["files"]
        self.failures = [Failure(**failure) for failure in head["failures"]]

    def __len__(self) -> int:
        return len(self._spans)

    def verify(self) -> None:
        """Raise CorruptBundle if a file of the plan has changed since it was made."""
        for name, digest in self._digests.items():
            if sha256_of(self._folder / name) != digest:
                raise CorruptBundle(
                    f"{self._folder / name} has changed; run `tusou index` again with --force"
                )

    @property
    def sha256(self) -> str:
        """The digest of the source."""
        return self.source.sha256

    @property
    def shard_count(self) -> int:
        """The number of shards, of which the last may be shorter."""
        return -(-len(self) // self.inputs.shard_rows)

    def shard(self, number: int) -> range:
        start = number * self.inputs.shard_rows
        return range(start, min(start + self.inputs.shard_rows, len(self)))

    def spans(self, rows: range | Ids) -> npt.NDArray[np.int64]:
        """Return line, file, byte offset and length of the rows, shape (n, 4)."""
        return self._spans[slice(rows.start, rows.stop) if isinstance(rows, range) else rows]

    @property
    def paths(self) -> list[Path]:
        return [Path(self.inputs.source, name) for name in self.files]

    def failure(self, row: int, item_id: str, reason: str) -> Failure:
        """Return the failure of a row that the scan could use."""
        line, file, *_ = self._spans[row].tolist()
        return Failure(line, item_id, reason, _name_in_failures(self.files[file]))

    def ids(self) -> Iterator[str]:
        """Yield the item id of every row, in order."""
        with (self._folder / _IDS).open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")

    @classmethod
    def matching(cls, folder: Path, inputs: BuildInputs) -> Self | None:
        """Return the plan in a folder if it was made for the same inputs, else None."""
        plan = cls.read(folder)
        return plan if plan is not None and plan.inputs == inputs else None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the plan in a folder, or None if there is none or any byte of it has changed."""
        with suppress(CorruptBundle, *DAMAGED_FILE_ERRORS):
            return cls(folder)
        return None


@dataclass(frozen=True, slots=True)
class ScannedSource:
    """The rows of a pool that was read once, in memory."""

    pool: ItemPool
    ids: dict[str, None]  # of the usable rows, in order
    spans: npt.NDArray[np.int64]  # line, file, byte offset and length of each, (n, 4)
    failures: list[Failure]
    duplicates: list[ItemRow]

    @property
    def sha256(self) -> str:
        """The digest of the source."""
        return self.pool.sha256

    @property
    def rows_read(self) -> int:
        return len(self.ids) + len(self.failures) + len(self.duplicates)


def scan_source(pool: ItemPool) -> ScannedSource:
    """Read a pool once; its digest is complete then."""
    spans, ids = array("q"), dict[str, None]()
    failures, duplicates = list[Failure](), list[ItemRow]()
    for row in pool.scan_in_time():
        if isinstance(row, Failure):
            failures.append(row)
        elif row.item_id in ids:
            duplicates.append(row)
        else:
            ids[row.item_id] = None
            spans.extend((row.line, row.file, row.offset, row.length))
    rows = np.frombuffer(spans, np.int64).reshape(-1, 4)
    return ScannedSource(pool, ids, rows, failures, duplicates)


def make_plan(folder: Path, inputs: BuildInputs, scan: ScannedSource) -> Plan:
    """Write the plan of a scanned source; BadDataset when no line can be used."""
    failures, pool = list(scan.failures), scan.pool
    if not scan.ids:
        reasons = "; ".join(f"line {bad.line}: {bad.reason}" for bad in failures[:5])
        raise BadDataset(f"{inputs.source}: no line can be used ({reasons or 'the file is empty'})")
    replace_folder(folder)
    with create_file(folder / _IDS) as file:
        file.writelines(f"{item_id}\n".encode() for item_id in scan.ids)
    save_array(folder / _SPANS, scan.spans)
    files = [source_file_name(inputs.source, path) for path in pool.files]
    failures += [
        Failure(row.line, row.item_id, "duplicate id", _name_in_failures(files[row.file]))
        for row in scan.duplicates
    ]
    source = Source(
        path=inputs.source,
        split=inputs.split,
        encoding=pool.encoding,
        files=len(files),
        size=pool.size,
        sha256=pool.sha256,
    )
    head = {
        "inputs": asdict(inputs),
        "source": source.model_dump(),
        "kind": pool.kind,
        "files": files,
        "failures": [asdict(failure) for failure in failures],
        "rows_read": scan.rows_read,
        "skipped": len(pool.skipped),
        "skipped_files": pool.skipped.sentences(),
        "sha256": {name: sha256_of(folder / name) for name in (_IDS, _SPANS)},
    }
    write_sealed(folder / _HEAD, head)
    return Plan(folder)


def _name_in_failures(file: str) -> str | None:
    return None if file == ITSELF else file
