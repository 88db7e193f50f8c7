"""Publishing of a finished version: verification, a test search, and the change of CURRENT."""

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.manifest import INDEX, MANIFEST, read_manifest, version_of
from tusou.bundle.old_versions import remove_old
from tusou.bundle.reuse_record import write_reuse
from tusou.bundle.shards import ReusedRows
from tusou.core.errors import CorruptBundle, Locked
from tusou.core.files import sync, write_file
from tusou.indexes import load_index
from tusou.indexes.specs import MilvusAccess, index_spec
from tusou_indexer.version_collection import point_alias, releasing

_LOCK = ".lock"
_PROBES = 64
_PROBE_SECONDS = 60.0  # a server may still be loading what it was given


@contextmanager
def lock_bundle(root: Path, verb: str = "tusou index") -> Iterator[None]:
    """Hold the lock of a folder that a verb writes; Locked when another process holds it."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"another `{verb}` is writing {root}; wait until it is done") from None
        yield


def publish(
    root: Path,
    folder: Path,
    reused: Sequence[ReusedRows] = (),
    milvus_uri: str | None = None,
) -> Bundle:
    """Give a written version its name and point CURRENT at it, if it works.

    What it took from other versions is recorded beside it, in `reused.json`.

    At every moment CURRENT names a complete version, if it did before: a version that is there
    already is left alone, or repaired file by file. Of the others, only the one that CURRENT named
    before stays. `milvus_uri` is the server of an index on Milvus, with user and password, in place
    of the recorded one. Raises CorruptBundle, and leaves CURRENT as it is, when the version does
    not work.
    """
    name = version_of(folder / MANIFEST)
    written = Bundle(folder, read_manifest(folder), name)
    written.verify()
    written.check_parts()
    _test_search(written, milvus_uri)
    _put_in_place(written, root / name)
    sync(root)
    remove_old(root, name, releasing(milvus_uri))
    write_reuse(root, name, reused)
    point_alias(written.manifest, milvus_uri)
    write_file(root / CURRENT, f"{name}\n".encode())
    return Bundle.open(root, name)


def _put_in_place(written: Bundle, target: Path) -> None:
    """Rename a written version's folder, or replace the damaged files of an existing one."""
    if not target.is_dir():
        target.unlink(missing_ok=True)
        written.folder.rename(target)
        return
    existing = Bundle(target, written.manifest, written.version)
    try:
        existing.verify()
    except CorruptBundle:
        pass
    else:
        return
    for path in sorted(target.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in {MANIFEST, *written.manifest.files}:
            path.unlink()
    for name in (*written.manifest.files, MANIFEST):
        if name == MANIFEST or not existing.is_intact(name):
            written.path(name).replace(target / name)
    sync(target)
    existing.verify()


def _test_search(bundle: Bundle, milvus_uri: str | None) -> None:
    """Open the index and search with stored vectors; CorruptBundle if items are missing."""
    spec = index_spec(bundle.manifest.index, MilvusAccess(milvus_uri, _PROBE_SECONDS))
    index = load_index(spec, bundle.path(INDEX), vectors=bundle.vector_file)
    rows = np.linspace(0, bundle.item_count - 1, min(_PROBES, bundle.item_count)).astype(np.int64)
    probes = np.ascontiguousarray(bundle.vectors[rows])
    neighbors = index.search(probes, 1)
    if len(index) != bundle.item_count or (neighbors.ids < 0).any():
        raise CorruptBundle(f"{bundle.folder}: the index finds nothing; index again with --force")
