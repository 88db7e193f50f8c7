"""File names for ids, for several formats."""

from pathlib import Path, PurePath
from urllib.parse import quote

from tusou.core.errors import BadDataset
from tusou.images.formats import IMAGE_SUFFIXES, JPEG, find_format

# Kept as they are, so that ids stay readable; path separators, drives and the like are escaped.
_SAFE = " !$&'()+,;=@[]{}~_-."


def file_ending(data: bytes) -> str:
    """Return the ending for an image's format; `.jpg` for data that is not an image."""
    return (find_format(data) or JPEG).suffixes[0]


def escape_id(item_id: str, also: str = "") -> str:
    """Return an id as a file name: `/` becomes `%2F`; `also` lists more to escape."""
    name = "".join(char if ord(char) > 127 else quote(char, safe=_SAFE) for char in item_id)
    for char in also:
        name = name.replace(char, f"%{ord(char):02X}")
    return f"%2E{name[1:]}" if name.startswith(".") else name


class ImageFolderWriter:
    """Writes images into one folder, each under its own name."""

    def __init__(self, folder: Path, reason: str) -> None:
        """Create the folder; `reason` says why ids of all splits share it, for error messages."""
        self._folder, self._reason = folder, reason
        self._ids: dict[str, str] = {}
        folder.mkdir()

    def add(self, item_id: str, data: bytes) -> str:
        """Write an image and return its file name; BadDataset when another one has that name."""
        name = escape_id(item_id)
        if PurePath(name).suffix.lower() not in IMAGE_SUFFIXES:
            name += file_ending(data)
        if name in self._ids:
            raise BadDataset(
                f"the images {self._ids[name]!r} and {item_id!r} would both be called {name}: "
                f"{self._reason}"
            )
        self._ids[name] = item_id
        (self._folder / name).write_bytes(data)
        return name
