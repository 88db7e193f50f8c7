"""ETags of items."""

import json
from hashlib import blake2b

from tusou.attributes.schema import Attributes, AttributeValue


def etag_of(length: int, check: int, attributes: Attributes) -> str:
    """Return the digest of a content, by its length and CRC-32, and of attributes.

    5 and 5.0 are equal: an attribute of integers can become one of numbers.
    """
    plain = {name: _plain(value) for name, value in attributes.items()}
    values = json.dumps(plain, ensure_ascii=False, sort_keys=True)
    return blake2b(f"{length} {check} {values}".encode(), digest_size=16).hexdigest()


def _plain(value: AttributeValue) -> AttributeValue:
    return int(value) if isinstance(value, float) and value.is_integer() else value
