"""File names for ids, and captions grouped by image, for several formats."""

from pathlib import Path, PurePath
from urllib.parse import quote

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.data.formats.folder import ENDINGS
from tusou.images.formats import content_type
from tusou_lab.convert.writers import ConversionNotes, SourceSplit

_ENDINGS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}
# Kept as they are, so that ids stay readable; path separators, drives and the like are escaped.
_SAFE = " !$&'()+,;=@[]{}~_-."


def file_ending(data: bytes) -> str:
    """Return the ending for an image's format; `.jpg` for data that is not an image."""
    return _ENDINGS.get(content_type(data), ".jpg")


def escape_id(item_id: str, also: str = "") -> str:
    """Return an id as a file name: `/` becomes `%2F`; `also` lists more to escape."""
    name = "".join(char if ord(char) > 127 else quote(char, safe=_SAFE) for char in item_id)
    for char in also:
        name = name.replace(char, f"%{ord(char):02X}")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def image_file_name(item_id: str, data: bytes) -> str:
    """Return an image's file name: its id, with the ending of its format unless it has one."""
    name = escape_id(item_id)
    return name if PurePath(name).suffix.lower() in ENDINGS else name + file_ending(data)


class ImageFolderWriter:
    """Writes images into one folder, each under its own name."""

    def __init__(self, folder: Path, reason: str) -> None:
        """Create the folder; `reason` says why ids of all splits share it, for error messages."""
        self._folder, self._reason = folder, reason
        self._ids: dict[str, str] = {}
        folder.mkdir()

    def add(self, item_id: str, data: bytes) -> str:
        """Write an image and return its file name; BadDataset when another one has that name."""
        name = image_file_name(item_id, data)
        if name in self._ids:
            raise BadDataset(
                f"the images {self._ids[name]!r} and {item_id!r} would both be called {name}: "
                f"{self._reason}"
            )
        self._ids[name] = item_id
        (self._folder / name).write_bytes(data)
        return name


def group_captions(
    split: SourceSplit, notes: ConversionNotes
) -> dict[str, list[tuple[ItemId, str]]]:
    """Return the ids and texts of each image; notes the queries without an image in the split."""
    known = set(split.item_ids)
    captions: dict[str, list[tuple[ItemId, str]]] = {}
    omitted = 0
    for query in split.queries or ():
        images = [str(item_id) for item_id in query.item_ids or () if str(item_id) in known]
        omitted += not images
        for item_id in dict.fromkeys(images):
            captions.setdefault(item_id, []).append((query.query_id, query.text))
    note = f"queries of {split.name} were left out: the format holds texts by their images"
    notes.add_count(omitted, note)
    return captions


def describe_image(item_id: ItemId, captions: list[tuple[ItemId, str]]) -> dict[str, object]:
    """Return an image's id and captions as JSON, with caption ids that are not `ID#0`, `ID#1`."""
    ids = [text_id for text_id, _ in captions]
    row: dict[str, object] = {"item_id": item_id, "captions": [text for _, text in captions]}
    default_ids = [f"{item_id}#{number}" for number in range(len(captions))]
    return row if ids == default_ids else row | {"caption_ids": ids}
