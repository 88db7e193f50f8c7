"""API key files, valid and invalid."""

from pathlib import Path

import pytest
from tusou_service.http.auth import ApiKeys, is_loopback

from tusou.core.errors import TusouError
from tusou.core.key_file import read_key_lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no API key"),
        (b"# none\n\n", "no API key"),
        (b"0123456789abcdef\nshort\n", "line 2: the key is shorter"),
        (
            "0123456789abcdef\n# 密钥\n密钥密钥密钥密钥密钥密钥密钥密钥".encode(),
            "line 3: .* printable ASCII",
        ),
        (b"0123456789abcdef serach", "line 1: .* search, admin, metrics"),
        (b"two words in one key", "line 1: the key is shorter"),
    ],
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
    file.write_bytes(b"0123456789abcdef\n  # the next one\nfedcba9876543210 admin")
    keys = ApiKeys.read(file)
    assert [len(digest) for digest, _ in keys.scopes] == [32, 32]
    assert "0123456789" not in repr(keys)
    assert "0123456789" not in repr(read_key_lines(file))


@pytest.mark.parametrize(
    ("line", "scopes"),
    [
        ("0123456789abcdef", {"search"}),
        ("0123456789abcdef metrics", {"metrics"}),
        ("0123456789abcdef search,admin , metrics", {"search", "admin", "metrics"}),
        ("\t0123456789abcdef\tadmin  search # the operator's", {"search", "admin"}),
        ("0123456789abcdef\n0123456789abcdef metrics", {"search", "metrics"}),
    ],
)
@pytest.mark.parametrize(
    ("encoding", "end"), [("ascii", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\r\n")]
)
def test_a_line_names_the_scopes_of_its_key(
    tmp_path: Path, line: str, scopes: set[str], encoding: str, end: str
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(f"{line}{end}".encode(encoding))
    keys = ApiKeys.read(file)
    assert keys.scopes_of(b"0123456789abcdef") == scopes
    assert keys.scopes_of(b"0123456789abcdeF") == keys.scopes_of(b"") == frozenset()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True)],
        *[("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("", False)],
        *[("search.example", False), ("localhost.example", False)],
    ],
)
def test_addresses_that_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
