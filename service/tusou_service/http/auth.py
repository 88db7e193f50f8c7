"""API keys with scopes, read from a file and kept as digests."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args

from tusou.core.errors import InputError
from tusou.core.key_file import KeyLine, read_key_lines

Scope: TypeAlias = Literal["search", "admin", "metrics"]

MIN_KEY_CHARS = 16
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
_DEFAULT_SCOPES: frozenset[Scope] = frozenset({"search"})

# Process managers call these by IP address and without a key.
PROBES = frozenset({"/healthz", "/readyz"})
# These need no key: the probes, and the pages, which hold no data of their own.
_PUBLIC_PATHS = PROBES | {"/", "/docs"}
_PUBLIC_PREFIX = "/static/"


def accepted_scopes(path: str, method: str = "GET") -> frozenset[Scope]:
    """Return the scopes, any of which admits to a call; empty if no key is needed."""
    if path in _PUBLIC_PATHS or path.startswith(_PUBLIC_PREFIX):
        return frozenset()
    changes_items = path.startswith("/items/") and method not in ("GET", "HEAD")
    if path.startswith("/admin/") or changes_items:
        return frozenset({"admin"})
    if path == "/metrics":
        return frozenset({"metrics"})
    if path == "/openapi.json":
        return SCOPES
    return frozenset({"search"})


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server on the host: an address, or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(slots=True)
class ApiKeys:
    """The SHA-256 digests of the accepted keys and their scopes.

    With several, keys can be rotated; `read_again` applies changes of the file.
    """

    scopes: tuple[tuple[bytes, frozenset[Scope]], ...]
    path: Path | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of keys: `KEY` may search, `KEY admin metrics` has those two scopes.

        Raises InputError if the file cannot be read or has no key, if a key is too short, or for
        an unknown scope.
        """
        lines = read_key_lines(path)
        if not lines:
            raise InputError(f"{path} holds no API key; write one on each line.")
        scopes = tuple((_digest(line.key.encode()), _scopes(line, path)) for line in lines)
        return cls(scopes, path)

    def read_again(self) -> None:
        """Replace the keys by those in the file; on InputError, the old keys stay."""
        if self.path:
            self.scopes = type(self).read(self.path).scopes

    def scopes_of(self, key: bytes) -> frozenset[Scope]:
        """Return the scopes of a key, in constant time; none if it is unknown."""
        digest = _digest(key)
        # All digests are compared even after a match.
        matches = [scopes for known, scopes in self.scopes if hmac.compare_digest(digest, known)]
        return frozenset().union(*matches)


def _scopes(line: KeyLine, path: Path) -> frozenset[Scope]:
    if len(line.key) < MIN_KEY_CHARS:
        raise InputError(
            f"{path}, line {line.number}: the key is shorter than {MIN_KEY_CHARS} characters; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    scopes = frozenset(scope for scope in SCOPES if scope in line.scopes)
    if scopes != set(line.scopes):
        raise InputError(
            f"{path}, line {line.number}: after its key, a line names scopes: "
            f"{', '.join(get_args(Scope))}."
        )
    return scopes or _DEFAULT_SCOPES


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
