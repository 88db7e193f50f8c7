"""Addresses and names that `tusou index` is given for Milvus."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from tusou.core.errors import InvalidRequest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")  # Milvus allows 255; a digest follows


def address_of(uri: str) -> str:
    """Return a server's URI without user and password; InvalidRequest if it is none."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https"):
        raise InvalidRequest("the URI of a Milvus server is written like http://127.0.0.1:19530")
    name = f"[{host}]" if ":" in host else host
    address = name if port is None else f"{name}:{port}"
    return SplitResult(parts.scheme, address, parts.path.rstrip("/"), "", "").geturl()


@dataclass(frozen=True, slots=True)
class MilvusTarget:
    """A server, which may be given with user and password, and an alias of its collections."""

    uri: str
    alias: str

    def check(self) -> None:
        """Raise InvalidRequest for an address or a name that Milvus does not accept."""
        address_of(self.uri)
        if not _NAME.fullmatch(self.alias):
            raise InvalidRequest(
                "--collection is a name of letters, digits and _, such as products"
            )

    @property
    def name(self) -> str:
        """The server and the alias, without user and password."""
        return f"{address_of(self.uri)} {self.alias}"
