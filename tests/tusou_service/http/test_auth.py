"""API key files, valid and invalid."""

from pathlib import Path

import pytest
from tusou_service.http.auth import ApiKeys

from tusou.core.errors import TusouError


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no API key"), (b"# none\n\n", "no API key"), (b"0123456789abcdef\nshort\n", "key 2")],
)
def test_a_file_without_good_keys_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(TusouError, match=message):
        ApiKeys.read(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TusouError, match="cannot be read"):
        ApiKeys.read(tmp_path / "keys")


def test_keys_are_kept_as_digests(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    # A byte order mark, a comment and CRLF, as editors on Windows write them.
    file.write_bytes(b"\xef\xbb\xbf  0123456789abcdef  \r\n  # the next one\r\nfedcba9876543210")
    keys = ApiKeys.read(file)
    assert [len(digest) for digest in keys.digests] == [32, 32]
    assert keys.accepts(b"0123456789abcdef")
    assert keys.accepts(b"fedcba9876543210")
    assert not keys.accepts(b"0123456789abcdeF")
    assert "0123456789" not in repr(keys)
