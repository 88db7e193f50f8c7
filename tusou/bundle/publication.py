"""The steps of publishing a version: its bundle's folder and lock, its place, CURRENT."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.manifest import MANIFEST
from tusou.core.errors import CorruptBundle, Locked, OutputExists
from tusou.core.files import sync, write_file

_LOCK = ".lock"
WORK = ".build"  # what an interrupted build continues from


def check_output(out: Path) -> None:
    """Raise OutputExists if the output is a file, or a folder of something else than a bundle."""
    if out.is_file():
        raise OutputExists(f"{out} is a file; give the folder of a bundle to --out")
    if out.is_dir() and any(out.iterdir()):
        is_bundle = any((out / name).exists() for name in (CURRENT, WORK, _LOCK))
        if not is_bundle:
            raise OutputExists(f"{out} holds something else than a bundle; give another --out")


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


def put_in_place(written: Bundle, target: Path) -> None:
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


def switch_current(root: Path, version: str) -> Bundle:
    """Point CURRENT at a version that is in place, and open it."""
    write_file(root / CURRENT, f"{version}\n".encode())
    return Bundle.open(root, version)
