"""Local copies of bundles that are kept in a store.

CACHE/<bucket>-<digest of the address>/   a bundle's folder, as `tusou index` writes it
    CURRENT
    <version>/
    .<version>.part/                      a download that has not ended; the next one continues it
    .lock                                 held by the process that downloads
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tusou.bundle.bundle import CURRENT, Bundle, current_version
from tusou.bundle.location import BundleLocation, S3Address
from tusou.bundle.manifest import MANIFEST, FileRecord, read_manifest
from tusou.bundle.old_versions import remove_old
from tusou.bundle.s3_store import S3Store
from tusou.core.errors import ArtifactError, CorruptBundle, StorageFull
from tusou.core.files import naming_file, sha256_of, sync, write_file

_DEFAULT_CACHE = Path("~/.cache/tusou")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def current_version_of(location: BundleLocation) -> str:
    """Return the version that CURRENT names now; CorruptBundle, StoreUnreachable."""
    if isinstance(location, Path):
        return current_version(location)
    return S3Store(location).current_version()


def local_folder(location: BundleLocation, cache: Path | None = None) -> Path:
    """Return a bundle's folder; of a bundle in a store, the folder of its copy in the cache.

    The copy is brought up to date first: its CURRENT names the version that the store's names, and
    every byte has been compared with the manifest. Another process that does the same is waited
    for. The cache is `~/.cache/tusou` unless given. Raises StoreUnreachable, CorruptBundle,
    IncompatibleBundle, StorageFull and MissingDependency.
    """
    if isinstance(location, Path):
        return location
    root = (cache or _DEFAULT_CACHE).expanduser() / _folder_name(location)
    store = S3Store(location)
    with _full_disk_named(root):
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root):
            version = store.current_version()
            if not _is_intact(root, version):
                _download(store, root, version)
            remove_old(root, version)
            _remove_parts(root)
            write_file(root / CURRENT, f"{version}\n".encode())
    return root


def _folder_name(address: S3Address) -> str:
    return f"{address.bucket}-{sha256(str(address).encode()).hexdigest()[:16]}"


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_intact(root: Path, version: str) -> bool:
    try:
        Bundle.open(root, version).verify()
    except ArtifactError:
        return False
    return True


def _download(store: S3Store, root: Path, version: str) -> None:
    """Put a version in place; what an earlier download, or a damaged copy, has right stays."""
    part, folder = root / f".{version}.part", root / version
    if folder.exists():
        shutil.rmtree(part, ignore_errors=True)
        folder.rename(part)
    part.mkdir(exist_ok=True)
    write_file(part / MANIFEST, store.manifest_bytes(version))
    files = read_manifest(part).files
    missing = {name: record for name, record in files.items() if not _has(part / name, record)}
    _check_space(part, missing)
    for name, record in missing.items():
        _download_file(store, f"{version}/{name}", part / name, record)
    for path in part.iterdir():
        if path.name not in {MANIFEST, *files}:
            path.unlink()
    sync(part)
    part.rename(folder)
    sync(root)


def _has(path: Path, record: FileRecord) -> bool:
    return (
        path.is_file() and path.stat().st_size == record.size and sha256_of(path) == record.sha256
    )


def _check_space(folder: Path, missing: dict[str, FileRecord]) -> None:
    """Raise StorageFull unless the disk has room for the rest of these files."""
    present = sum(_size(folder / name) for name in missing)
    needed = sum(record.size for record in missing.values()) - present
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageFull(
            f"{folder.parent}: the version needs {needed:,} more bytes, {free:,} are free; free "
            "some, or set TUSOU_CACHE_DIR to a folder on a larger disk"
        )


def _download_file(store: S3Store, name: str, path: Path, record: FileRecord) -> None:
    """Download the rest of a file; from its start, once, if the whole has not the right digest."""
    for start in (_size(path), 0):
        with naming_file(path), path.open("r+b" if path.exists() else "wb") as file:
            file.truncate(start if start < record.size else 0)
            file.seek(0, os.SEEK_END)
            store.copy_to(name, file.tell(), record.size, file)
            file.flush()
            os.fsync(file.fileno())
        if _has(path, record):
            return
    raise CorruptBundle(f"{name}: the store's file is not the one of the manifest; push it again")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _remove_parts(root: Path) -> None:
    """Delete what is left of downloads of versions that are current no more."""
    for path in root.glob(".*.part"):
        shutil.rmtree(path)


@contextmanager
def _full_disk_named(root: Path) -> Iterator[None]:
    """Raise StorageFull for an OSError that means a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull(
            f"{root}: the disk is full; free some space, or set TUSOU_CACHE_DIR to a folder on a "
            "larger disk"
        ) from error
