"""Attributes of a file, joined to the items of a build."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tusou.attributes.schema import Attributes
from tusou.attributes.table import AttributeTable
from tusou.bundle.manifest import AttributeSource
from tusou.core.errors import BadDataset
from tusou.core.files import sha256_of
from tusou.core.ids import Failure
from tusou.core.problems import list_problems
from tusou.data.attribute_file import AttributeFile


class IdentifiedRows(Protocol):
    """The rows of a source: those that can be items, and those that cannot."""

    @property
    def failures(self) -> Sequence[Failure]: ...

    def ids(self) -> Iterator[str]:
        """Yield the item id of every row, in order."""
        ...


@dataclass(frozen=True, slots=True)
class ItemAttributes:
    """The attributes of a file, by its rows."""

    table: AttributeTable
    rows: dict[str, int]  # row by item id
    path: Path
    size: int
    sha256: str
    type_notices: list[str]

    def of_items(self, item_ids: Iterable[str]) -> AttributeTable:
        """Return the attributes of items, in their order; items without a row have none."""
        return self.table.take(np.array([self.rows.get(each, -1) for each in item_ids], np.int64))

    def unknown(self, plan: IdentifiedRows) -> list[str]:
        """Return the ids that no item of the source has; BadDataset if these are all."""
        known = {*plan.ids(), *(failure.item_id for failure in plan.failures)}
        unknown = [item_id for item_id in self.rows if item_id not in known]
        if len(unknown) == len(self.rows):
            raise BadDataset(
                f"{self.path}: none of the ids is one of an item; the first is {unknown[0]}, and "
                f"the first item is {next(plan.ids())}"
            )
        return unknown

    def notices(self, plan: IdentifiedRows) -> Iterator[str]:
        """Yield sentences that the user should read; BadDataset if all items are unknown."""
        yield from self.type_notices
        if unknown := self.unknown(plan):
            yield (
                f"{self.path}: {len(unknown):,} of {len(self.rows):,} rows are of items that the "
                f"source does not have{list_problems(unknown)}"
            )

    def source(self, plan: IdentifiedRows) -> AttributeSource:
        """Return the manifest's record of the file."""
        return AttributeSource(
            name=self.path.name,
            size=self.size,
            sha256=self.sha256,
            rows=len(self.rows),
            unknown=len(self.unknown(plan)),
        )


def read_attributes(path: Path) -> ItemAttributes:
    """Read a file of attributes; BadDataset lists all its faults."""
    size, digest = path.stat().st_size, sha256_of(path)
    file = AttributeFile(path)
    rows: dict[str, int] = {}
    table = AttributeTable.from_rows(file.schema, _attributes(file, rows))
    if sha256_of(path) != digest:
        raise BadDataset(f"{path} has changed while it was read; run `tusou index` again")
    return ItemAttributes(table, rows, path, size, digest, file.notices)


def _attributes(file: AttributeFile, rows: dict[str, int]) -> Iterator[Attributes]:
    """Yield the attributes of each row, and store its position by item id."""
    for item in file.rows():
        rows.setdefault(item.item_id, len(rows))
        yield item.attributes
