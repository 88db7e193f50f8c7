"""File names for ids, and captions by image: what formats of named images share."""

from pathlib import Path, PurePath
from urllib.parse import quote

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.data.formats.folder import ENDINGS
from tusou.images.formats import content_type
from tusou_lab.convert.writers import Notes, Split

_ENDINGS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}
# Readable ids stay readable; what a path, a drive or a key's end could be made of does not.
_PLAIN = " !$&'()+,;=@[]{}~_-."


def ending(data: bytes) -> str:
    """Name the ending that the bytes ask for; `.jpg` for what is no image."""
    return _ENDINGS.get(content_type(data), ".jpg")


def escaped(item_id: str, also: str = "") -> str:
    """Write an id as a name for one file: `/` and the like as `%2F`, Chinese as it is."""
    name = "".join(char if ord(char) > 127 else quote(char, safe=_PLAIN) for char in item_id)
    for char in also:
        name = name.replace(char, f"%{ord(char):02X}")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def file_name(item_id: str, data: bytes) -> str:
    """Name an image's file: the id, with the ending of its bytes unless it has one."""
    name = escaped(item_id)
    return name if PurePath(name).suffix.lower() in ENDINGS else name + ending(data)


class Images:
    """Images in one folder, each name once."""

    def __init__(self, folder: Path, why: str) -> None:
        self._folder, self._why = folder, why
        self._ids: dict[str, str] = {}
        folder.mkdir()

    def add(self, item_id: str, data: bytes) -> str:
        """Write an image and return its name; BadDataset when another one has it."""
        name = file_name(item_id, data)
        if name in self._ids:
            raise BadDataset(
                f"the images {self._ids[name]!r} and {item_id!r} would both be called {name}: "
                f"{self._why}"
            )
        self._ids[name] = item_id
        (self._folder / name).write_bytes(data)
        return name


def captions_of(split: Split, notes: Notes) -> dict[str, list[tuple[ItemId, str]]]:
    """List the texts of each image; tell of queries that have none in the split."""
    there = set(split.item_ids)
    found: dict[str, list[tuple[ItemId, str]]] = {}
    lost = 0
    for query in split.queries or ():
        images = [str(item_id) for item_id in query.item_ids or () if str(item_id) in there]
        lost += not images
        for item_id in dict.fromkeys(images):
            found.setdefault(item_id, []).append((query.query_id, query.text))
    notes.count(
        lost, f"queries of {split.name} were left out: the format holds texts by their images"
    )
    return found


def described(item_id: ItemId, texts: list[tuple[ItemId, str]]) -> dict[str, object]:
    """Write an image's captions as JSON; ids of captions only where they are not the usual."""
    ids = [text_id for text_id, _ in texts]
    row: dict[str, object] = {"item_id": item_id, "captions": [text for _, text in texts]}
    usual = [f"{item_id}#{number}" for number in range(len(texts))]
    return row if ids == usual else row | {"caption_ids": ids}
