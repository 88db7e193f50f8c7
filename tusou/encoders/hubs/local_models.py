"""The folder of downloaded models: HUB/OWNER/NAME/COMMIT, and where a download came from."""

import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from tusou.bundle.model_record import ModelSource
from tusou.core.files import write_file
from tusou.core.progress import Progress
from tusou.encoders.hubs.base import HubError
from tusou.encoders.hubs.select_files import Form, select_files

_CURRENT = "CURRENT"  # names the commit that a model without a revision stands for
_DEFAULT_BRANCHES = (None, "main", "master")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str | None) -> bool:
    """Return whether a revision is a whole commit, which never changes."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def folder_of(root: Path, commit: str, form: Form) -> Path:
    """Return the folder of a model's files at a commit; it is there only if all of them are."""
    return root / (commit if form == "model" else f"{commit}-{form}")


def find_local(root: Path, revision: str | None, form: Form) -> Path | None:
    """Return the folder of a model that is here, None if it is not or its branch may have moved."""
    if revision is None:
        try:
            revision = (root / _CURRENT).read_text(encoding="utf-8").strip()
        except OSError:
            return None
    folder = folder_of(root, revision, form)
    return folder if is_commit(revision) and folder.is_dir() else None


def set_current(root: Path, revision: str | None, commit: str) -> None:
    """Record the commit of a model without a revision: the default branch's or the first here."""
    if revision in _DEFAULT_BRANCHES or not (root / _CURRENT).exists():
        write_file(root / _CURRENT, f"{commit}\n".encode())


def model_path(folder: Path, form: Form) -> Path:
    """Return the path of the model in the folder of its files: a checkpoint's, or the folder."""
    names = sorted(path.name for path in folder.iterdir())
    try:
        checkpoint = select_files(names, form).checkpoint
    except HubError:  # the tensors were deleted; the reader reports it
        checkpoint = None
    return folder if checkpoint is None else folder / checkpoint


def is_complete(root: Path, commit: str, form: Form) -> bool:
    """Return whether every needed file of a model is here; False where its files are not known.

    An earlier release may have needed fewer of them.
    """
    folder = folder_of(root, commit, form)
    try:
        names = json.loads(_listing_of(root, commit).read_bytes())
        return all((folder / name).is_file() for name in select_files(names, form).names)
    except (OSError, ValueError, TypeError, HubError):
        return False


def record_listing(root: Path, commit: str, names: Sequence[str]) -> None:
    """Record the names of all files that a hub has of a model at a commit."""
    write_file(_listing_of(root, commit), json.dumps(sorted(names), indent=0).encode())


def record_source(path: Path, source: ModelSource, sha256: str) -> None:
    """Record beside a file which commit of which hub it is from."""
    record = {**source.model_dump(), "sha256": sha256}
    write_file(_source_of(path), json.dumps(record, indent=2).encode())


def read_source(path: Path, sha256: str) -> ModelSource | None:
    """Return the recorded source of a file; None if there is none, or it is of other bytes."""
    try:
        record = json.loads(_source_of(path).read_bytes())
        same = record.pop("sha256", None) == sha256
        return ModelSource(**record) if same else None
    except (OSError, ValueError, AttributeError, TypeError, ValidationError):
        return None


@contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock file; waits for other processes that download the same model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.notice("another process downloads the same model: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _listing_of(root: Path, commit: str) -> Path:
    return root / f"{commit}.files.json"


def _source_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.source.json")
