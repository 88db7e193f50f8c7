"""API keys, read from a file and kept as digests."""

import codecs
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusou.core.errors import InputError

MIN_KEY_CHARS = 16


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The SHA-256 digests of the accepted keys; with several, keys can be rotated."""

    digests: tuple[bytes, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file with one key on each line; skip blank lines and lines that begin with #.

        Raises InputError if the file cannot be read or has no key, or if a key is too short.
        """
        try:
            lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
        except OSError as error:
            raise InputError(f"The API key file {path} cannot be read: {error.strerror}.") from None
        stripped = [line.strip() for line in lines]
        keys = [line for line in stripped if line and not line.startswith(b"#")]
        if not keys:
            raise InputError(f"{path} holds no API key; write one on each line.")
        short = [number for number, key in enumerate(keys, 1) if len(key) < MIN_KEY_CHARS]
        if short:
            raise InputError(
                f"{path}: key {short[0]} is shorter than {MIN_KEY_CHARS} characters; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return cls(tuple(hashlib.sha256(key).digest() for key in keys))

    def accepts(self, key: bytes) -> bool:
        """Return whether this is one of the keys, in constant time."""
        digest = hashlib.sha256(key).digest()
        # A list, so that all digests are compared even after a match.
        return any([hmac.compare_digest(digest, known) for known in self.digests])  # noqa: C419
