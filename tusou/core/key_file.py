"""API key files, as the service and its clients read them."""

import codecs
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import InputError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key, its line number, and the words after it, which a service reads as scopes."""

    key: str
    number: int
    scopes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"KeyLine(number={self.number}, scopes={self.scopes})"  # the key is secret


def read_key_lines(path: Path) -> list[KeyLine]:
    """Return the keys of a file, one per line; blank lines and those that begin with # are skipped.

    A key may be followed by words, separated by spaces or commas, and by a comment.

    Raises InputError if the file cannot be read, or if a key is not printable ASCII.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The API key file {path} cannot be read: {error.strerror}.") from None
    # Editors on Windows begin a file with a byte order mark, and PowerShell writes UTF-16.
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    lines = data.decode(encoding, "replace").splitlines()
    keys = []
    for number, line in enumerate(lines, 1):
        key, _, rest = " ".join(line.split()).partition(" ")
        if not key or key.startswith("#"):
            continue
        if not all("!" <= char <= "~" for char in key):
            raise InputError(f"{path}, line {number}: an API key is printable ASCII text.")
        words = rest.partition("#")[0].replace(",", " ").split()
        keys.append(KeyLine(key, number, tuple(words)))
    return keys
