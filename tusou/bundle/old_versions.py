"""Removal of the versions of a bundle that are served no more."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from tusou.bundle.bundle import CURRENT, current_version, is_version
from tusou.bundle.manifest import MANIFEST
from tusou.core.errors import CorruptBundle
from tusou.core.files import temporary_of


def _nothing_to_release(_version: Path, _kept: Iterable[Path]) -> bool:
    return True


def remove_old(
    root: Path, name: str, release: Callable[[Path, Iterable[Path]], bool] = _nothing_to_release
) -> None:
    """Delete all versions but `name` and the one that CURRENT names; half-deleted ones in any case.

    Nothing that is complete is deleted unless CURRENT names another version than `name`: which one
    it named before is not known then. `release` is called with a version's folder and those of the
    versions that stay, before it is deleted; a version stays if it returns False.
    """
    try:
        previous = current_version(root)
    except CorruptBundle:
        previous = name
    temporary_of(root / CURRENT).unlink(missing_ok=True)
    for path in sorted(root.iterdir()):
        complete = (path / MANIFEST).is_file()
        if not is_version(path.name) or path.name in {name, previous}:
            continue
        if previous != name or not complete:
            if not release(path, (root / name, root / previous)):
                continue
            # First, so that a partly deleted version is never taken for a complete one.
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path)
