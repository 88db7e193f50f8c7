"""What each call's body may be: media type, cap, and room for images where they belong."""

import re
from dataclasses import dataclass

from tusou.images.formats import MAX_IMAGE_BYTES
from tusou_service.http.limits import RequestLimits

_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)
_IMAGE_MEDIA = re.compile(r"image/(jpeg|png|webp)\s*", re.IGNORECASE)

# Where an image begins in JSON: the field of a search, or a data URI.
_IMAGE_START = re.compile(rb'"image"\s*:\s*"|"data:image/[a-z]{1,8};base64,')
_BASE64_OF_A_IMAGE = 4 * -(-MAX_IMAGE_BYTES // 3)


@dataclass(frozen=True, slots=True)
class BodyRule:
    """Bytes that a body may have beside its images, and how many more these may have."""

    cap: int
    room: int = 0
    media: re.Pattern[str] = _JSON

    @property
    def total(self) -> int:
        """The longest body there can be."""
        return self.cap + self.room

    def may_go_on(self, body: bytearray) -> bool:
        """Tell whether a body that has just outgrown the cap has begun an image before that."""
        return self.room > 0 and _IMAGE_START.search(body, 0, self.cap) is not None

    def holds(self, body: bytes | bytearray) -> bool:
        """Tell whether a whole body keeps the cap beside its images.

        An image is a string without escapes: whatever nests, repeats or has to be unescaped is
        beside it. Looks at no more than the cap's bytes outside of images.
        """
        if len(body) > self.total:
            return False
        beside = place = 0
        while len(body) - place + beside > self.cap:
            found = _IMAGE_START.search(body, place, place + self.cap - beside)
            if not found:
                return False
            end = body.find(b'"', found.end())
            if end < 0 or body.find(b"\\", found.end(), end) >= 0:
                return False
            beside += found.end() - place
            place = end
        return True


def body_rules(limits: RequestLimits) -> dict[str, BodyRule]:
    """Return the rule of each path that takes a body."""
    return {
        "/search": BodyRule(limits.body_bytes, _BASE64_OF_A_IMAGE),
        "/search/batch": BodyRule(limits.batch_body_bytes),
        "/search/image": BodyRule(MAX_IMAGE_BYTES, media=_IMAGE_MEDIA),
        "/v1/embeddings": BodyRule(limits.batch_body_bytes, _BASE64_OF_A_IMAGE),
    }
