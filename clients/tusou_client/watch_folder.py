"""The images and the attributes file of a watched folder, as they are at one moment."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.files import open_regular
from tusou.core.hits import Attributes
from tusou.data.attribute_file import AttributeFile
from tusou.data.base import parse_item_id
from tusou.data.formats.folder import list_image_names

MAX_IMAGE_BYTES = 16 * 2**20  # the service takes no larger ones


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as its directory describes it; equal ones are taken for the same content."""

    name: str  # below the folder
    size: int
    mtime_ns: int


def find_images(folder: Path) -> tuple[dict[str, FoundFile], dict[str, str]]:
    """Return the images below a folder by item id, and faults of names that cannot be ids.

    Raises OSError if a folder cannot be read: its images are not gone.
    """
    images: dict[str, FoundFile] = {}
    faults: dict[str, str] = {}
    for written, name in list_image_names(folder).items():
        try:
            item_id = parse_item_id(os.fsencode(written))
            images[item_id] = describe(folder, name)
        except FileNotFoundError:  # removed meanwhile, or a link to nothing
            continue
        except ValueError as error:
            faults[os.fsencode(name).decode(errors="replace")] = str(error)
    return images, faults


def describe(folder: Path, name: str) -> FoundFile:
    """Return a file's size and time; FileNotFoundError if it is gone or no regular file."""
    status = (folder / name).stat()
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(name)
    return FoundFile(name, status.st_size, status.st_mtime_ns)


def read_unchanged(folder: Path, file: FoundFile) -> bytes | None:
    """Return the bytes of a file; None if it has changed since it was found."""
    try:
        with open_regular(folder / file.name) as opened:
            data = opened.read()
        return data if describe(folder, file.name) == file else None
    except FileNotFoundError:
        return None


class WatchedAttributes:
    """The attributes file, read again when it has changed and then stayed the same once."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise BadDataset if it cannot be used."""
        self._path = path
        self._seen = self._read = self._describe()
        self.rows = _read_rows(path)

    def refresh(self) -> str | None:
        """Read the file if it is new; return why it cannot be used, once for each state of it.

        `rows` stay as they were then.
        """
        seen, before = self._describe(), self._seen
        self._seen = seen
        if seen != before or seen == self._read:
            return None
        self._read = seen
        if seen is None:
            return f"{self._path} is gone; the attributes stay as they are"
        try:
            self.rows = _read_rows(self._path)
        except BadDataset as error:
            return str(error)
        return None

    def _describe(self) -> FoundFile | None:
        try:
            return describe(self._path.parent, self._path.name)
        except FileNotFoundError:
            return None


def _read_rows(path: Path) -> dict[str, Attributes]:
    return {row.item_id: row.attributes for row in AttributeFile(path).rows()}
