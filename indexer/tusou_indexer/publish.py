"""Publishing of a finished version: verification, a test search, and the change of CURRENT."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tusou.bundle.bundle import CURRENT, INDEX, Bundle
from tusou.bundle.manifest import MANIFEST, version_of
from tusou.core.errors import CorruptBundle, Locked
from tusou.core.files import sync, write_file
from tusou.indexes import load_index
from tusou.indexes.specs import index_spec

_LOCK = ".lock"
# The version just replaced stays, because a service may be about to open it.
_VERSIONS_KEPT = 2
_PROBES = 64


@contextmanager
def lock_bundle(root: Path) -> Iterator[None]:
    """Hold the lock of a bundle's folder; Locked when another process holds it."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                f"another `tusou index` is writing {root}; wait until it is done"
            ) from None
        yield


def publish(root: Path, folder: Path) -> Bundle:
    """Move a written version into the bundle, verify it, and point CURRENT at it.

    Raises CorruptBundle, and leaves CURRENT as it is, when the version does not work.
    """
    name = version_of(folder / MANIFEST)
    target = root / name
    if target.exists():  # published before, and its files may be damaged by now
        shutil.rmtree(target)
    folder.rename(target)
    sync(root)
    bundle = Bundle.open(root, name)
    bundle.verify()
    _test_search(bundle)
    write_file(root / CURRENT, f"{name}\n".encode())
    _remove_old(root, name)
    return bundle


def _test_search(bundle: Bundle) -> None:
    """Open the index and search with stored vectors; CorruptBundle if items are missing."""
    index = load_index(index_spec(bundle.manifest.index), bundle.path(INDEX))
    rows = np.linspace(0, bundle.item_count - 1, min(_PROBES, bundle.item_count)).astype(np.int64)
    probes = np.ascontiguousarray(bundle.vectors[rows])
    neighbors = index.search(probes, 1)
    if len(index) != bundle.item_count or (neighbors.ids < 0).any():
        raise CorruptBundle(f"{bundle.folder}: the index finds nothing; index again with --force")


def _remove_old(root: Path, current: str) -> None:
    versions = [path for path in root.iterdir() if (path / MANIFEST).is_file()]
    newest_first = sorted(versions, key=lambda path: path.stat().st_mtime, reverse=True)
    old = [path for path in newest_first if path.name != current][_VERSIONS_KEPT - 1 :]
    for path in old:
        shutil.rmtree(path)
