"""A file of texts that are items themselves: JSON lines of an id and a text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tusou.datasets.base import ItemRow, read_id
from tusou.datasets.lines import Line, LineFile
from tusou.errors import BadDataset
from tusou.places import text_of
from tusou.rows import Encoding, Failure, Items
from tusou.textrows import read_text_row

MAX_LINE_BYTES = 2**20


class TextsFile:
    """One pass over a file of texts in the memory of its longest line.

    A BOM before the first line and CRLF line ends are accepted; what cannot be used becomes a
    `Failure`.
    """

    kind: Items = "texts"
    encoding: Encoding = "json"

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path, MAX_LINE_BYTES)

    @property
    def files(self) -> Sequence[Path]:
        """The file itself."""
        return (self._lines.path,)

    @property
    def sha256(self) -> str:
        """The digest of all bytes read so far, in hexadecimal."""
        return self._lines.sha256

    @property
    def size(self) -> int:
        """Count the bytes read so far."""
        return self._lines.size

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every line once, in order."""
        for line in self._lines:
            yield self._row(line)

    def _row(self, line: Line) -> ItemRow | Failure:
        if line.data is None:
            return Failure(line.number, None, f"line longer than {MAX_LINE_BYTES} bytes")
        if not line.data.strip():
            return Failure(line.number, None, "blank line")
        item_id = None
        try:
            # Halves of surrogate pairs have no bytes, and so make no id.
            raw_id = str(read_text_row(line.data)[0]).encode(errors="surrogatepass")
            item_id, problem = read_id(raw_id)
            if problem:
                return Failure(line.number, item_id, problem)
            text_of(line.data, self.encoding)
        except BadDataset as error:
            return Failure(line.number, item_id, str(error))
        return ItemRow(line.number, item_id or "", 0, line.offset, len(line.data))
