"""Locations of bundles: a folder, or a prefix in a store that speaks S3."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tusou.core.errors import InvalidRequest

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}", re.IGNORECASE)
_PREFIX = re.compile(r"[^\x00-\x1f\x7f]{0,512}")


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bundle in a store: the names of its files begin with the prefix and a slash."""

    bucket: str
    prefix: str  # without slashes at its ends; empty for a bucket that holds one bundle

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


BundleLocation: TypeAlias = Path | S3Address


def parse_location(text: str) -> BundleLocation:
    """Return the S3 address of `s3://BUCKET/PREFIX`, else a folder; InvalidRequest."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Path(text)
    bucket, _, prefix = text[scheme.end() :].partition("/")
    prefix = prefix.strip("/")
    steps = prefix.split("/")
    if (
        scheme[1].lower() != "s3"
        or not _BUCKET.fullmatch(bucket)
        or not _PREFIX.fullmatch(prefix)
        or any(step in {".", ".."} or (not step and prefix) for step in steps)
    ):
        raise InvalidRequest("a bundle is a folder or an address such as s3://BUCKET/PREFIX")
    return S3Address(bucket, prefix)
