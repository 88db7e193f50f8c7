"""Reads whole text files in common encodings, compressed or not."""

import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.file_kinds import GZIP, ZIP, describe_foreign_file
from tusou.core.files import DAMAGED_FILE_ERRORS
from tusou.data.jsonl import BOM

# A larger file is of another kind, such as a pool of images.
MAX_BYTES = 2**30

_ARRAY = re.compile(rb"\[\s*\{")
# Byte order marks.
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def refuse_foreign_file(path: Path) -> None:
    """Raise BadDataset for a file that is empty or of a kind that its first bytes name."""
    if problem := describe_foreign_file(path):
        raise BadDataset(f"{path} {problem}")


def refuse_unseekable_file(path: Path) -> None:
    """Raise BadDataset for a pool whose items cannot be read in place, by their byte offsets."""
    refuse_foreign_file(path)
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(64).lstrip()
        if head.startswith(UTF16):
            raise BadDataset(f"{path} is UTF-16; items are read in place, so save it as UTF-8")
        if _ARRAY.match(head):
            raise BadDataset(
                f"{path} is one JSON array; items are read in place, so write one object a line: "
                "jq -c '.[]'"
            )


def read_text_bytes(path: Path) -> bytes:
    """Return the bytes of a text file without a byte order mark; UTF-16 becomes UTF-8.

    A gzip file, and a zip of one file, are unpacked. Raises BadDataset for a file that is empty,
    damaged, too large, or of another kind than text.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if data.startswith(GZIP):
        data = _unpack_gzip(path, data)
    elif data.startswith(ZIP):
        data = _unpack_zip(path, data)
    else:
        refuse_foreign_file(path)
    if len(data) > MAX_BYTES:
        raise BadDataset(f"{path} is larger than {MAX_BYTES} bytes, too large for a file of texts")
    if data.startswith(UTF16):
        try:
            return data.decode("utf-16").encode()
        except UnicodeError:
            raise BadDataset(f"{path}: broken UTF-16; save the file as UTF-8") from None
    return data.removeprefix(BOM)


def decode_text(path: Path, data: bytes) -> str:
    """Decode UTF-8, or GB18030 (which includes GBK) if it is not UTF-8; BadDataset for others."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadDataset(f"{path}: neither UTF-8 nor GB18030; save the file as UTF-8")


def _unpack_gzip(path: Path, data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            return file.read(MAX_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadDataset(f"{path}: the gzip file is cut off or damaged; copy it again") from None


def _unpack_zip(path: Path, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(files) == 1:
                with archive.open(files[0]) as file:
                    return file.read(MAX_BYTES + 1)
    except DAMAGED_FILE_ERRORS:
        raise BadDataset(f"{path}: the zip archive is cut off or damaged; copy it again") from None
    raise BadDataset(f"{path} {describe_foreign_file(path)}")
