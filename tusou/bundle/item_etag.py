"""ETags of items."""

import json
from hashlib import blake2b

import numpy as np

from tusou.attributes.schema import Attributes, AttributeValue
from tusou.core.arrays import Vectors


def etag_of(length: int, check: int, vector: Vectors, attributes: Attributes) -> str:
    """Return the digest of a content, by its length and CRC-32, of its vector and of attributes.

    5 and 5.0 are equal: an attribute of integers can become one of numbers.
    """
    plain = {name: _plain(value) for name, value in attributes.items()}
    values = json.dumps(plain, ensure_ascii=False, sort_keys=True)
    digest = blake2b(np.asarray(vector, "<f4").tobytes(), digest_size=16)
    digest.update(f"{length} {check} {values}".encode())
    return digest.hexdigest()


def parse_if_match(header: str) -> frozenset[str]:
    """Return the ETags of an If-Match header without quotes, or `*` if the item may have any.

    The mark of a weak ETag, which a proxy that compresses adds, is left out.
    """
    if header.strip() == "*":
        return frozenset("*")
    # An ETag of an item has no comma. An asterisk in quotes, or in a list, is no ETag of an item.
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))
    return frozenset(tags) - {"*"}


def _plain(value: AttributeValue) -> AttributeValue:
    return int(value) if isinstance(value, float) and value.is_integer() else value
