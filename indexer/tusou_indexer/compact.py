"""Writes the next version of a bundle, which holds the live changes, and publishes it."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.manifest import IndexRecord
from tusou.bundle.publication import lock_bundle
from tusou.core.errors import InvalidRequest
from tusou.core.files import replace_folder
from tusou.live.live_items import LiveItems
from tusou.live.log_prefix import open_prefix, trim_log
from tusou.live.snapshot import LiveSnapshot
from tusou_indexer.encode_contents import ContentEncoder
from tusou_indexer.merge_items import write_merged
from tusou_indexer.publish import publish
from tusou_indexer.rebuild_index import rebuild_index

_WORK = ".compact"


@dataclass(frozen=True, slots=True)
class CompactReport:
    """The result of a compaction; without changes the version is the one before."""

    bundle: Path
    version: str
    items: int
    position: int  # of the last change that the version holds
    added: int  # items that are not in the version before
    removed: int  # items of the version before that are not in this one
    skipped: int  # changes that do not fit the version before: see `LiveItems.replay`
    index: IndexRecord
    trimmed: bool  # False: the service that writes the log cuts it
    seconds: float
    changed: bool = True  # False: the version before holds all changes

    def as_json(self) -> dict[str, object]:
        """Return the report as `--json` prints it."""
        return {
            "bundle": str(self.bundle),
            "version": self.version,
            "changed": self.changed,
            "items": self.items,
            "added": self.added,
            "removed": self.removed,
            "skipped": self.skipped,
            "live_position": self.position,
            "trimmed": self.trimmed,
            "index_recall_at_10": self.index.index_recall_at_10,
            "target_recall": self.index.target_recall,
            "seconds": self.seconds,
        }


def compact(root: Path) -> CompactReport:
    """Write the items of the current version with the live changes as the next version.

    A service may go on changing items meanwhile: those changes stay in the log. At every moment
    CURRENT names a complete version, and no change is only in a version that it does not name.
    Raises Locked when an index is being built, CorruptBundle when the version or the log is
    damaged, and InvalidRequest when no item would be left.
    """
    started = perf_counter()
    current_version(root)  # a folder that is not a bundle gets no lock
    with lock_bundle(root):
        bundle = Bundle.open(root)
        snapshot, skipped = _changed(root, bundle)
        version = bundle if snapshot is None else _publish_next(root, snapshot)
        shutil.rmtree(root / _WORK, ignore_errors=True)
        return CompactReport(
            bundle=root,
            version=version.version,
            items=version.item_count,
            position=version.manifest.live_position,
            added=0 if snapshot is None else len(snapshot.live_keys),
            removed=0 if snapshot is None else snapshot.removed_count,
            skipped=skipped,
            index=version.manifest.index,
            trimmed=_trim(root, version.manifest.live_position),
            seconds=perf_counter() - started,
            changed=snapshot is not None,
        )


def _changed(root: Path, bundle: Bundle) -> tuple[LiveSnapshot | None, int]:
    """Return the version with the changes of the log, None without changes; and those skipped."""
    before = bundle.manifest.live_position
    prefix = open_prefix(root, before)
    if prefix is None or prefix[1] <= before:
        return None, 0
    if not bundle.manifest.has_encoder:
        raise InvalidRequest(
            f"{root} holds vectors without a model that could encode live items; index the vectors "
            "with --model"
        )
    bundle.verify()
    log, until = prefix
    items = LiveItems(bundle, log.read, ContentEncoder(bundle.manifest).encode)
    items.replay(log.changes(before, until))
    return items.snapshot, items.skipped


def _publish_next(root: Path, snapshot: LiveSnapshot) -> Bundle:
    if not snapshot.item_count:
        raise InvalidRequest(
            f"{root}: the live changes remove every item, and a version holds one at least; add an "
            "item, or delete the bundle"
        )
    folder = root / _WORK
    replace_folder(folder)
    write_merged(snapshot, folder, partial(rebuild_index, snapshot.bundle.manifest, folder))
    return publish(root, folder)


def _trim(root: Path, position: int) -> bool:
    try:
        return trim_log(root, position)
    except OSError:  # the disk is full: the records stay, and are skipped when the log is read
        return False
