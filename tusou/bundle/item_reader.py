"""Reading what lies at an item's place: some bytes of one of its pool's files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tusou.core.errors import BadDataset
from tusou.core.ids import Encoding
from tusou.core.json_objects import parse_text_item
from tusou.images.formats import decode_image
from tusou.text.normalize import is_blank, without_controls

# The name of a pool's file where the pool was opened at that very file.
ITSELF = "."


def file_name(place: str, file: Path) -> str:
    """Name a pool's file from the absolute path of the place, or wholly if it is elsewhere."""
    whole = file.absolute()
    return whole.relative_to(place).as_posix() if whole.is_relative_to(place) else str(whole)


class ItemReader:
    """The files of a pool by number; the one read last stays open until the next or the end."""

    def __init__(self, files: Sequence[Path] | Mapping[int, Path]) -> None:
        self._files = files
        self._open: tuple[int, BinaryIO] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Read an item's bytes as they are stored; fewer where the file has ended."""
        if self._open is None or self._open[0] != file:
            self._close()
            self._open = file, self._files[file].open("rb")
        self._open[1].seek(offset)
        return self._open[1].read(length)

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def read_span(path: Path, offset: int, length: int) -> bytes:
    """Return the bytes of a span; fewer where the file has ended."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def text_of(data: bytes, encoding: Encoding) -> str:
    """Turn what is stored at a place into a text to show and to encode.

    Raises BadDataset, whose message is a short phrase, for what holds no text.
    """
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


def image_of(data: bytes, encoding: Encoding) -> bytes:
    """Turn what is stored at a place into the bytes of an image file; BadImage."""
    return decode_image(data) if encoding == "base64" else data
