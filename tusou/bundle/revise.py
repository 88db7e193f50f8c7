"""New versions of a bundle with other stages, which share their other files with the one before."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tusou.bundle.bundle import LIVE, Bundle
from tusou.bundle.manifest import MANIFEST, FileRecord, Manifest, read_manifest, version_of
from tusou.bundle.manifest_file import write_manifest
from tusou.bundle.old_versions import remove_old
from tusou.bundle.publication import (
    check_output,
    lock_bundle,
    put_in_place,
    switch_current,
)
from tusou.core.errors import CorruptBundle, InvalidRequest, OutputExists
from tusou.core.files import replace_folder, sha256_of, sync

_WORK = ".revise"


def revise(
    root: Path,
    change: Callable[[Manifest], Manifest],
    *,
    out: Path | None = None,
    version: str | None = None,
    add: Mapping[str, Path] | None = None,
    drop: Iterable[str] = (),
) -> Bundle:
    """Publish a version that differs from the current one in its manifest and in a few files.

    `change` returns the new manifest; its records of files are set here. `add` are files to copy
    under their name in the version, in place of one of that name, and `drop` names of files to
    leave out. All others are hard links, or copies on another disk. With `out`, the version is
    published in that bundle's folder instead. `version` is the version that the caller has read.
    Raises InvalidRequest when that is not the current one any more, OutputExists when `out` holds
    something else or live changes, Locked, and CorruptBundle when a file of the version is damaged.
    """
    target = root if out is None else out
    check_output(target)
    if out is not None and (out / LIVE).exists():
        raise OutputExists(f"{out} has live changes of its own; give another --out")
    with lock_bundle(target):
        before = Bundle.open(root)
        if version not in (None, before.version):
            raise InvalidRequest(f"{root} has another version by now; run the command again")
        folder = target / _WORK
        replace_folder(folder)
        records = _link_files(before, folder, {*drop, *(add or {})})
        for name, path in (add or {}).items():
            shutil.copyfile(path, folder / name)
            sync(folder / name)
            size, digest = path.stat().st_size, sha256_of(folder / name)
            records[name] = FileRecord(size=size, sha256=digest)
        records = dict(sorted(records.items()))  # as builds write them
        manifest = change(before.manifest)
        write_manifest(manifest.model_copy(update={"files": records}), folder)
        name = version_of(folder / MANIFEST)
        # Read as any other: what `change` made is checked, too.
        written = Bundle(folder, read_manifest(folder), name)
        written.verify()
        put_in_place(written, target / name)
        shutil.rmtree(folder, ignore_errors=True)
        sync(target)
        if manifest.index.collection is None:  # a collection is deleted by `tusou index` alone
            remove_old(target, name)
        return switch_current(target, name)


def _link_files(before: Bundle, folder: Path, left_out: set[str]) -> dict[str, FileRecord]:
    records: dict[str, FileRecord] = {}
    for name, record in before.manifest.files.items():
        if name in left_out:
            continue
        if not before.is_intact(name):
            raise CorruptBundle(
                f"{before.path(name)} is damaged; index again with --force, or restore it"
            )
        try:
            os.link(before.path(name), folder / name)
        except OSError:  # another disk, or one without hard links
            shutil.copyfile(before.path(name), folder / name)
            sync(folder / name)
        records[name] = record
    return records
