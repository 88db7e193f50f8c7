"""Limits of requests and their bodies."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tusou_service.settings import Settings

# Less than the largest image of a pool: bodies are held in memory until their request is answered.
MAX_UPLOAD_BYTES = 16 * 1024**2
# Chunks are limited apart from bytes: real clients send few, large chunks.
MAX_BODY_CHUNKS = 4096
# A large body, one with an image.
LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES = 8  # at once
MAX_HEADERS = 100
# A shared link holds a whole query, and percent encoding triples its bytes.
MAX_URI_BYTES = 8192
MAX_TIMEOUT_MS = 30_000

_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)
_IMAGE_MEDIA = re.compile(r"image/[\w.+-]{1,64}\s*", re.IGNORECASE)

# The start of an image in JSON: the field of a search, or a data URI.
_IMAGE_START = re.compile(rb'"image"\s*:\s*"|"data:image\\?/[^",\\]{1,64};base64,')
# The escapes that base64 in JSON may have: line breaks, and the slash as PHP writes it.
_OTHER_ESCAPE = re.compile(rb"\\[^nrt/]")
# Base64 with an escaped line break every 76 characters, and with all slashes escaped.
_IMAGE_BASE64_BYTES = 4 * -(-MAX_UPLOAD_BYTES // 3) * 108 // 100


@dataclass(frozen=True, slots=True)
class BodyRule:
    """The media type of a call's body, and its limits with and without images."""

    limit: int  # bytes outside images
    total: int  # bytes of the whole body
    media_type: re.Pattern[str] = _JSON
    is_large_call: bool = False  # several queries or texts

    def may_exceed_limit(self, body: bytearray) -> bool:
        """Return whether the first `limit` bytes contain the start of an image."""
        return self.total > self.limit and _IMAGE_START.search(body, 0, self.limit) is not None

    def accepts(self, body: bytes | bytearray) -> bool:
        """Return whether a complete body keeps the limit outside its images.

        Only a string without other escapes than those of base64 counts as an image: anything
        nested, repeated or escaped counts against the limit. At most `limit` bytes outside images
        are scanned.
        """
        if len(body) > self.total:
            return False
        outside = position = 0
        while len(body) - position + outside > self.limit:
            start = _IMAGE_START.search(body, position, position + self.limit - outside)
            if not start:
                return False
            end = body.find(b'"', start.end())
            if end < 0 or _OTHER_ESCAPE.search(body, start.end(), end + 1):
                return False
            outside += start.end() - position
            position = end
        return True


class BodyRules:
    """The rules of the calls that take a body."""

    def __init__(self, settings: "Settings") -> None:
        search, batch = settings.max_body_bytes, settings.max_batch_body_bytes
        changes = BodyRule(batch, batch + _IMAGE_BASE64_BYTES, is_large_call=True)
        self._posts = {
            "/search": BodyRule(search, search + _IMAGE_BASE64_BYTES),
            "/search/batch": BodyRule(batch, batch, is_large_call=True),
            "/search/image": BodyRule(MAX_UPLOAD_BYTES, MAX_UPLOAD_BYTES, _IMAGE_MEDIA),
            "/v1/embeddings": BodyRule(batch, batch + _IMAGE_BASE64_BYTES, is_large_call=True),
            "/items/batch": changes,
            "/items/delete": BodyRule(search, search),
        }
        self._items = {
            "PUT": BodyRule(batch, batch + _IMAGE_BASE64_BYTES),
            "PATCH": BodyRule(search, search),
        }

    def __contains__(self, path: str) -> bool:
        """Return whether a path takes bodies by POST."""
        return path in self._posts

    def find(self, method: str, path: str) -> BodyRule | None:
        """Return the rule of a call; None if it takes no body."""
        if method == "POST":
            return self._posts.get(path)
        return self._items.get(method) if path.startswith("/items/") else None
