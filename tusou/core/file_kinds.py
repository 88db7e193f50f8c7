"""Names files of other kinds by their first bytes, and says what to do with them."""

import zipfile
from pathlib import Path

_HEAD_BYTES = 512
_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<title")
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"

CHECKPOINT = "is a PyTorch checkpoint"

# The first bytes of each kind, a description, and what to do.
_SIGNATURES = (
    (GZIP, "is compressed with gzip; unpack it with `gunzip -k`"),
    (b"BZh", "is compressed with bzip2; unpack it with `bunzip2 -k`"),
    (b"\xfd7zXZ\0", "is compressed with xz; unpack it with `unxz -k`"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it with `zstd -d`"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it"),
    (b"SQLite format 3\0", "is an SQLite database; export its table as text"),
    (b"PAR1", "is a Parquet file; export its columns as text"),
    (b"ARROW1", "is an Arrow file; export its columns as text"),
    (b"\xd0\xcf\x11\xe0", "is an old Office document; save its table as CSV in UTF-8"),
    (b"%PDF", "is a PDF document"),
    (b"GGUF", "is a GGUF file, for llama.cpp"),
    (b"\x93NUMPY", "is a NumPy array"),
    (b"\x89HDF", "is an HDF5 file; export its data"),
    (b"\xff\xd8\xff", "is a JPEG image"),
    (b"\x89PNG", "is a PNG image"),
)
# Folders in a zip that show which document it is.
_DOCUMENTS = (
    ("xl/", "is an Excel workbook; save its table as CSV in UTF-8"),
    ("word/", "is a Word document; save it as plain text"),
)


def describe_foreign_file(path: Path) -> str | None:
    """Return what a file is, and what to do, as `is a zip archive; unpack it`.

    None for text, for unknown bytes and for what is not a file. Raises OSError.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "is empty; copy or download it again"
    if head.startswith(_LFS):
        return "is a Git LFS pointer, not the file itself; run `git lfs pull`"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML):
        return "is a web page, perhaps the error page of a failed download; download it again"
    if head.startswith(ZIP):
        return _describe_zip(path)
    return next((sentence for magic, sentence in _SIGNATURES if head.startswith(magic)), None)


def _describe_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        return "is a zip archive that is cut off or damaged; download it again"
    if any(name.endswith("/data.pkl") for name in names):
        return CHECKPOINT
    for folder, sentence in _DOCUMENTS:
        if any(name.startswith(folder) for name in names):
            return sentence
    return "is a zip archive; unpack it"
