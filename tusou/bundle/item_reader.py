"""Reads items from the files of their source."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from tusou.core.errors import BadDataset
from tusou.core.files import open_regular
from tusou.core.ids import Encoding
from tusou.core.json_objects import parse_text_item
from tusou.images.formats import decode_image
from tusou.text.normalize import is_blank, without_controls

# The name of the only file of a source that is itself a file.
ITSELF = "."


def source_file_name(source: str, file: Path) -> str:
    """Return a file's path relative to the source's absolute path, or absolute if it is outside."""
    path = file.absolute()
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else str(path)


class ItemReader:
    """Reads spans of numbered files; the file read last stays open until another one is read."""

    def __init__(self, files: Sequence[Path] | Mapping[int, Path]) -> None:
        self._files = files
        self._open: tuple[int, BinaryIO] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Return the bytes of a span; fewer where the file has ended."""
        if self._open is None or self._open[0] != file:
            self._close()
            self._open = file, open_regular(self._files[file])
        self._open[1].seek(offset)
        return self._open[1].read(length)

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def read_span(path: Path, offset: int, length: int) -> bytes:
    """Return the bytes of a span; fewer where the file has ended."""
    with open_regular(path) as file:
        length = min(length, max(0, os.fstat(file.fileno()).st_size - offset))
        file.seek(offset)
        return file.read(length)


def decode_stored_text(data: bytes, encoding: Encoding) -> str:
    """Decode the stored bytes of a text; raise BadDataset, with a short phrase, without a text."""
    if encoding == "json":
        text = parse_text_item(data)[1]
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise BadDataset("text is not UTF-8") from None
    text = without_controls(text)
    if is_blank(text):
        raise BadDataset("empty text")
    return text


def decode_stored_image(data: bytes, encoding: Encoding) -> bytes:
    """Decode the stored bytes of an image into those of an image file; BadImage."""
    return decode_image(data) if encoding == "base64" else data
