"""Files of other kinds are named by their first bytes."""

import gzip
import sqlite3
import zipfile
from pathlib import Path

import pytest

from tusou.core.file_kinds import describe_foreign_file


def zipped(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")
    return path


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty; copy or download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "is a Git LFS pointer, not",
        ),
        (
            b"\xef\xbb\xbf\n<!DOCTYPE html><title>404</title>",
            "is a web page, perhaps the error page",
        ),
        (gzip.compress(b"1\tAAAA\n", mtime=0), "is compressed with gzip; unpack it"),
        (b"PK\x03\x04 cut off", "is a zip archive that is cut off or damaged"),
        (b"PAR1....", "is a Parquet file"),
    ],
)
def test_kinds_are_named(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / "file").write_bytes(data)
    assert str(describe_foreign_file(tmp_path / "file")).startswith(expected)


def test_archives_and_documents_are_told_apart(tmp_path: Path) -> None:
    workbook = zipped(tmp_path / "a.csv", "xl/workbook.xml")
    assert describe_foreign_file(workbook) == (
        "is an Excel workbook; save its table as CSV in UTF-8"
    )
    assert describe_foreign_file(zipped(tmp_path / "b", "a.tsv")) == "is a zip archive; unpack it"
    with sqlite3.connect(tmp_path / "c") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    assert str(describe_foreign_file(tmp_path / "c")).startswith("is an SQLite database")


def test_text_and_folders_are_of_no_other_kind(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("1\tAAAA\n")
    assert describe_foreign_file(tmp_path / "text") is None
    assert describe_foreign_file(tmp_path) is None
