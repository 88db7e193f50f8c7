"""What one request and one connection may cost."""

from dataclasses import dataclass

# Kept apart from the body caps: a legitimate client sends few, large pieces.
MAX_BODY_PIECES = 4096
# Bodies of images are held until they are answered: so many at once bound their memory.
LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES = 8
MAX_HEADERS = 100
# A shared address holds a whole query, and percent signs triple its bytes.
MAX_URI_BYTES = 8192
MAX_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Caps on a request; bytes and seconds."""

    body_bytes: int
    batch_body_bytes: int
    header_bytes: int
    body_seconds: float
    timeout_seconds: float  # when the client names none
    hosts: frozenset[str]  # empty: any
    rate_per_second: float  # searches of one client; 0: as many as it likes
    rate_burst: int
    large_bodies: int


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Caps on a connection; all deadlines are absolute, so a drip of bytes does not move them."""

    header_seconds: float
    body_seconds: float
    write_seconds: float
    header_bytes: int
    connections: int
