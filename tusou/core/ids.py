"""What rows of a pool are, in plain Python: a client reads datasets without numpy."""

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, TypeGuard

# What the outside calls an item: an integer in MUGE, a string elsewhere.
ItemId: TypeAlias = int | str
# What the items of a pool are.
ItemKind: TypeAlias = Literal["images", "texts"]
# Of the bytes at an item's place: as they are; base64 text; one JSON object with a text in it.
Encoding: TypeAlias = Literal["raw", "base64", "json"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A line of a pool that gave no item, and why."""

    line: int
    item_id: str | None
    reason: str
    file: str | None = None  # which one, in a pool of many

    def record(self) -> dict[str, object]:
        """Give the row of `failures.jsonl`, which names a file where there are several."""
        row = asdict(self)
        return row if self.file is not None else {k: v for k, v in row.items() if k != "file"}


def is_id(value: object) -> TypeGuard[ItemId]:
    """Tell whether a JSON value may be an id: an integer (not a boolean) or a string."""
    return isinstance(value, int | str) and not isinstance(value, bool)
