"""Keeps a live service in step with a folder of images and a file of their attributes."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tusou.core.hits import Attributes
from tusou_client.change_calls import Change, Operation
from tusou_client.client import Client
from tusou_client.errors import ClientError, ServiceError, TimedOut
from tusou_client.retry import RetryPolicy
from tusou_client.watch_folder import (
    MAX_IMAGE_BYTES,
    FoundFile,
    WatchedAttributes,
    find_images,
    read_unchanged,
)
from tusou_client.watch_state import SentItem, WatchState

# The images of one request, which must be encoded within its time limit.
_MAX_CHANGES, _MAX_BYTES = 16, 8 * 2**20
WATCH_POLICY = RetryPolicy(timeout=30.0, deadline=60.0)
# Statuses that are about one change, whatever else is in its request.
_OF_ONE_CHANGE = frozenset({413, 422})
_COUNTS = {"upsert": "put", "patch": "patched", "delete": "deleted"}

Notice = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WatchReport:
    """The changes that one pass made in the service."""

    put: int = 0
    patched: int = 0
    deleted: int = 0
    refused: int = 0
    unsettled: int = 0  # files that are still being written

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was sent."""
        return not (self.put or self.patched or self.deleted or self.refused)


@dataclass(frozen=True, slots=True)
class _PlannedChange:
    operation: Operation
    item_id: str
    after: SentItem | None  # what to record once the service has it
    size: int = 0


class Watcher:
    """Sends the differences between a folder and what was sent of it before.

    A file is sent when two passes have found it the same, and an item is deleted when two passes
    have not found its file; only items that were put from this folder are deleted.
    """

    def __init__(
        self,
        client: Client,
        folder: Path,
        state: WatchState,
        attributes: WatchedAttributes | None = None,
        notice: Notice = print,
    ) -> None:
        self._client, self._folder, self._state = client, folder, state
        self._attributes, self._notice = attributes, notice
        self._told: dict[str, str] = {}  # the last notice about each file
        self._counts: Counter[str] = Counter()
        self._unsaved: dict[str, SentItem | None] = {}
        self._found = self._scan()

    def step(self) -> WatchReport:
        """Look at the folder again and send what has changed.

        Raises ClientError, of which those that are `transient` may pass, and OSError if the folder
        cannot be read; what was sent before is recorded.
        """
        before, self._found = self._found, self._scan()
        if self._attributes and (fault := self._attributes.refresh()):
            self._notice(fault)
        settled = {
            item_id: file for item_id, file in self._found.items() if before.get(item_id) == file
        }
        self._counts.clear()
        try:
            # Deletions first: an image gets another id when one of the same name comes beside it.
            for batch in _batches(self._deletions(before)):
                self._send(batch)
            for batch in _batches(self._puts_and_patches(settled)):
                self._send(batch)
        finally:
            self._save()
        return WatchReport(**self._counts, unsettled=len(self._found) - len(settled))

    def _scan(self) -> dict[str, FoundFile]:
        if not self._state.path.exists():  # an empty mount point is not a folder without images
            raise FileNotFoundError(
                2, "the folder has lost the record of what was sent", self._state.path
            )
        images, faults = find_images(self._folder)
        for name, fault in faults.items():
            self._tell(name, fault)
        return images

    def _deletions(self, before: Mapping[str, FoundFile]) -> Iterator[_PlannedChange]:
        for item_id, sent in list(self._state.items.items()):
            if item_id in self._found or item_id in before:
                continue
            if sent.is_there:
                yield _PlannedChange({"op": "delete", "item_id": item_id}, item_id, None)
            else:
                self._unsaved[item_id] = None

    def _puts_and_patches(self, settled: Mapping[str, FoundFile]) -> Iterator[_PlannedChange]:
        for item_id, file in settled.items():
            sent = self._state.items.get(item_id)
            attributes = self._attributes_of(item_id, sent)
            if sent and _describes(sent, file):
                if sent.attributes == attributes:
                    continue
                if sent.is_there and sent.refusal is None:
                    yield _patch(item_id, sent, attributes)
                    continue
            if change := self._put(item_id, file, sent, attributes):
                yield change

    def _attributes_of(self, item_id: str, sent: SentItem | None) -> Attributes:
        if self._attributes is None:
            return sent.attributes if sent else {}
        return self._attributes.rows.get(item_id, {})

    def _put(
        self, item_id: str, file: FoundFile, sent: SentItem | None, attributes: Attributes
    ) -> _PlannedChange | None:
        """Return the change for a file whose size or time is new; None if nothing is to be sent."""
        is_there = sent is not None and sent.is_there
        after = SentItem(file.name, file.size, file.mtime_ns, "", attributes, is_there)
        if file.size > MAX_IMAGE_BYTES:
            self._refuse(item_id, after, f"larger than {MAX_IMAGE_BYTES // 2**20} MiB")
            return None
        try:
            data = read_unchanged(self._folder, file)
        except OSError as error:  # tried again at every pass, since its times would not change
            self._tell(file.name, f"cannot be read: {error.strerror}")
            return None
        if data is None:
            return None
        after = replace(after, sha256=hashlib.sha256(data).hexdigest())
        if sent and sent.sha256 == after.sha256:
            after = replace(after, refusal=sent.refusal)
            if sent.attributes == attributes:
                self._unsaved[item_id] = after
                return None
            if is_there and sent.refusal is None:
                return _patch(item_id, replace(after, attributes=sent.attributes), attributes)
        operation: Operation = {
            "op": "upsert",
            "item_id": item_id,
            "image": data,
            "attributes": attributes,
        }
        return _PlannedChange(operation, item_id, replace(after, is_there=True), len(data))

    def _send(self, batch: Sequence[_PlannedChange]) -> None:
        for change, outcome in zip(batch, self._outcomes(batch), strict=True):
            if isinstance(outcome, Change):
                if outcome.status != "absent":
                    self._counts[_COUNTS[change.operation["op"]]] += 1
                self._unsaved[change.item_id] = change.after
            elif outcome.code == "unknown_item":
                self._unsaved[change.item_id] = None  # another client deleted it: put it next time
            elif outcome.status < 500 and change.after:
                sent = self._state.items.get(change.item_id)
                after = replace(change.after, is_there=sent is not None and sent.is_there)
                self._refuse(change.item_id, after, str(outcome))
            else:
                name = change.after.name if change.after else change.item_id
                self._tell(name, f"{outcome}; it will be sent again")
        self._save()

    def _outcomes(self, batch: Sequence[_PlannedChange]) -> list[Change | ServiceError]:
        try:
            return self._client.change_items([change.operation for change in batch])
        except ServiceError as error:
            if len(batch) == 1 and error.status in _OF_ONE_CHANGE:
                return [error]
            if len(batch) == 1 or error.status not in _OF_ONE_CHANGE | {504}:
                raise
        except TimedOut:
            if len(batch) == 1:
                raise
        return [outcome for change in batch for outcome in self._outcomes([change])]

    def _refuse(self, item_id: str, after: SentItem, reason: str) -> None:
        """Record that an image is not to be sent again as it is; report it once."""
        sent = self._state.items.get(item_id)
        if sent is None or (sent.refusal, sent.sha256) != (reason, after.sha256):
            self._notice(f"{after.name}: {reason}")
        self._counts["refused"] += 1
        self._unsaved[item_id] = replace(after, refusal=reason)

    def _tell(self, name: str, reason: str) -> None:
        """Report what keeps a file from being sent, unless it was the last said of it."""
        if self._told.get(name) != reason:
            self._told[name] = reason
            self._notice(f"{name}: {reason}")

    def _save(self) -> None:
        if self._unsaved:
            self._state.save(self._unsaved)
            self._unsaved = {}


def watch(
    watcher: Watcher, interval: float, on_report: Callable[[WatchReport], None], notice: Notice
) -> None:
    """Run passes until interrupted; a service that is away, or a folder, is waited for."""
    was_away = False
    while True:
        time.sleep(interval)
        try:
            report = watcher.step()
        except (ClientError, OSError) as error:
            if isinstance(error, ClientError) and not error.transient:
                raise
            if not was_away:
                notice(f"{error}; waiting")
            was_away = True
            continue
        if was_away:
            notice("going on")
        was_away = False
        if not report.is_empty:
            on_report(report)


def _batches(changes: Iterable[_PlannedChange]) -> Iterator[list[_PlannedChange]]:
    batch: list[_PlannedChange] = []
    size = 0
    for change in changes:
        if batch and (len(batch) == _MAX_CHANGES or size + change.size > _MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(change)
        size += change.size
    if batch:
        yield batch


def _patch(item_id: str, sent: SentItem, attributes: Attributes) -> _PlannedChange:
    """Return the change of the attributes that differ; those that are gone are removed."""
    changed = {
        name: attributes.get(name)
        for name in {**sent.attributes, **attributes}
        if attributes.get(name) != sent.attributes.get(name)
    }
    operation: Operation = {"op": "patch", "item_id": item_id, "attributes": changed}
    return _PlannedChange(operation, item_id, replace(sent, attributes=attributes))


def _describes(sent: SentItem, file: FoundFile) -> bool:
    return (sent.name, sent.size, sent.mtime_ns) == (file.name, file.size, file.mtime_ns)
