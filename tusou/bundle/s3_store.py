"""Reads and writes the files of a bundle in a store that speaks S3, through fsspec.

Credentials, region and endpoint come from the variables and files of the AWS tools.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tusou.bundle.bundle import CURRENT, is_version, parse_current
from tusou.bundle.location import S3Address
from tusou.bundle.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from tusou.core.errors import CorruptBundle, StoreUnreachable
from tusou.core.lazy_import import extras_named

if TYPE_CHECKING:
    from s3fs import S3FileSystem

# Bytes of one request, and requests at once: a reader holds their product in memory.
_RANGE_BYTES, _RANGES = 8 * 2**20, 4
# Bytes of a part of an upload, of which S3 takes 10,000.
_PART_BYTES, _PARTS = 16 * 2**20, 9_000
_CONFIG = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "max_attempts": 3},
}
_DIGEST = "sha256"  # the name of the metadata of an object that this module wrote


class S3Store:
    """The files of one bundle in a store, by their paths in the bundle's folder.

    Every method raises StoreUnreachable when the store does not answer or denies access, and
    CorruptBundle when a file is missing.
    """

    def __init__(self, address: S3Address) -> None:
        self._address = address
        self._files, self._failures = _open_filesystem()

    def current_version(self) -> str:
        """Return the version that CURRENT names; CorruptBundle without one."""
        try:
            data = self._read(CURRENT, 1024)
        except CorruptBundle:
            data = b""
        return parse_current(data, str(self._address))

    def read_manifest(self, version: str) -> Manifest:
        """Return a version's manifest, checked."""
        return parse_manifest(self.manifest_bytes(version), f"{self._address}/{version}")

    def manifest_bytes(self, version: str) -> bytes:
        """Return the bytes of a version's manifest, whose digest is the version's name."""
        data = self._read(f"{version}/{MANIFEST}", MAX_MANIFEST_BYTES)
        if sha256(data).hexdigest()[: len(version)] != version:
            raise CorruptBundle(
                f"{self._address}/{version}: {MANIFEST} is not the one of this version; push again"
            )
        return data

    def copy_to(self, name: str, start: int, size: int, file: BinaryIO) -> None:
        """Append the bytes of a file from `start` to `size` to an open local one."""
        for data in self.blocks(name, start, size):
            file.write(data)

    def blocks(self, name: str, start: int, size: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` to `size`, in order."""
        path = self._path(name)
        while start < size:
            starts = list(range(start, size, _RANGE_BYTES))[:_RANGES]
            ends = [min(begin + _RANGE_BYTES, size) for begin in starts]
            with self._errors(name):
                blocks = self._files.cat_ranges(
                    [path] * len(starts), starts, ends, on_error="raise"
                )
            yield from blocks
            start = ends[-1]

    def verify(self) -> tuple[str, Manifest]:
        """Read every byte of the current version; return its name and its manifest.

        CorruptBundle lists the files that differ from the manifest.
        """
        version = self.current_version()
        manifest = self.read_manifest(version)
        wrong = [
            name
            for name, record in manifest.files.items()
            if self._digest(f"{version}/{name}", record.size) != record.sha256
        ]
        if wrong:
            raise CorruptBundle(
                f"{self._address}/{version}: changed or missing files: {', '.join(wrong)}; push "
                "the bundle again"
            )
        return version, manifest

    def _digest(self, name: str, size: int) -> str | None:
        """Return the SHA-256 of a file; None if it is missing or has another size."""
        digest = sha256()
        try:
            with self._errors(name):
                if self._files.info(self._path(name))["size"] != size:
                    return None
            for block in self.blocks(name, 0, size):
                digest.update(block)
        except CorruptBundle:
            return None
        return digest.hexdigest()

    def has(self, name: str, size: int, digest: str) -> bool:
        """Return whether the store holds this file, as `upload` wrote it."""
        try:
            with self._errors(name):
                info = self._files.info(self._path(name))
                metadata = self._files.metadata(self._path(name))
        except CorruptBundle:
            return False
        return bool(info["size"] == size and metadata.get(_DIGEST) == digest)

    def upload(self, source: Path, name: str, digest: str) -> None:
        """Write a file's bytes under a name; `digest` is their SHA-256."""
        part = max(_PART_BYTES, math.ceil(source.stat().st_size / _PARTS))
        with self._errors(name):
            self._files.put_file(
                str(source),
                self._path(name),
                chunksize=part,
                max_concurrency=_RANGES,
                Metadata={_DIGEST: digest},
            )

    def point_current(self, version: str) -> None:
        """Let CURRENT name a version, whose files are all there."""
        with self._errors(CURRENT):
            self._files.pipe_file(self._path(CURRENT), f"{version}\n".encode())

    def versions(self) -> list[str]:
        """Return the versions of which the store holds a manifest."""
        with self._errors("versions"):  # by `ls`: `glob` would take a prefix for a pattern
            names = [path.rsplit("/")[-1] for path in self._files.ls(self._path(""), detail=False)]
            return [
                name
                for name in sorted(filter(is_version, names))
                if self._files.exists(self._path(f"{name}/{MANIFEST}"))
            ]

    def remove(self, version: str) -> None:
        """Delete a version; its manifest first, so that the rest is never taken for complete."""
        with self._errors(version):
            self._files.rm_file(self._path(f"{version}/{MANIFEST}"))
            for path in self._files.find(self._path(version)):
                self._files.rm_file(path)

    def _read(self, name: str, limit: int) -> bytes:
        with self._errors(name):
            data: bytes = self._files.cat_file(self._path(name), start=0, end=limit)
        return data

    def _path(self, name: str) -> str:
        parts = (self._address.bucket, self._address.prefix, name)
        return "/".join(part for part in parts if part)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Raise the errors of s3fs, botocore and aiohttp as ours."""
        try:
            yield
        except FileNotFoundError:
            raise CorruptBundle(f"{self._address} has no {name}; push the bundle again") from None
        except PermissionError as error:
            raise StoreUnreachable(
                f"{self._address}: access is denied; check the AWS credentials and their rights"
            ) from error
        except self._failures as error:
            raise StoreUnreachable(
                f"{self._address} cannot be used now: {type(error).__name__}: {error}"
            ) from error


def _open_filesystem() -> "tuple[S3FileSystem, tuple[type[Exception], ...]]":
    """Return the store's file system, and the errors that its libraries raise."""
    with extras_named("s3"):
        from aiohttp import ClientError  # noqa: PLC0415 - an extra, as the two below
        from botocore import exceptions  # noqa: PLC0415
        from s3fs import S3FileSystem  # noqa: PLC0415
    failures = OSError, ClientError, exceptions.BotoCoreError, exceptions.ClientError
    # No listings are kept, because other machines publish.
    return S3FileSystem(config_kwargs=_CONFIG, use_listings_cache=False), failures
