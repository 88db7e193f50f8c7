"""Types of items and ids, in plain Python: the client reads datasets without numpy."""

import re
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, TypeGuard

# The id of an item in a dataset: an integer in MUGE, a string elsewhere.
ItemId: TypeAlias = int | str
# The kind of a pool's items.
ItemKind: TypeAlias = Literal["images", "texts"]
# The encoding of an item's span: the bytes themselves, base64, or a JSON object with a text.
Encoding: TypeAlias = Literal["raw", "base64", "json"]

# Integers as Python and JSON write them, small enough for int64.
_CANONICAL = re.compile(r"(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Failure:
    """A line of a pool that cannot be used, and the reason."""

    line: int
    item_id: str | None
    reason: str
    file: str | None = None  # None in a pool of a single file

    def record(self) -> dict[str, object]:
        """Return the row of `failures.jsonl`; it names the file only where there are several."""
        row = asdict(self)
        return row if self.file is not None else {k: v for k, v in row.items() if k != "file"}


def is_id(value: object) -> TypeGuard[ItemId]:
    """Return whether a JSON value can be an id: an integer (not a boolean) or a string."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def is_canonical_integer(item_id: str) -> bool:
    """Return whether an id is the same text after a round trip through a JSON integer."""
    return _CANONICAL.fullmatch(item_id) is not None
