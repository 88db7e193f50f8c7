"""Downloads models of hubs that are not on this machine yet."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tusou.bundle.model_record import ModelSource
from tusou.core.errors import BadModel
from tusou.core.files import sha256_of
from tusou.core.progress import Progress
from tusou.encoders.hubs.base import Hub, HubError, HubFile, Listing
from tusou.encoders.hubs.connection import HubConnection, Patience
from tusou.encoders.hubs.download import PART, download, part_of
from tusou.encoders.hubs.local_models import (
    find_local,
    folder_of,
    is_commit,
    is_complete,
    locked,
    model_path,
    record_listing,
    record_source,
    set_current,
)
from tusou.encoders.hubs.message import RequestedFile, describe_failure
from tusou.encoders.hubs.progress import ByteProgress, default_progress
from tusou.encoders.hubs.published import id_on, published_id
from tusou.encoders.hubs.select_files import Form, select_files
from tusou.encoders.hubs.settings import HubSettings, read_settings
from tusou.encoders.model_name import MODELS, HubModel, PublishedModel

_GB = 1e9


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Finds models here, or downloads them. Raises BadModel if that fails."""

    settings: HubSettings = field(default_factory=read_settings)
    progress: Progress = field(default_factory=default_progress)
    patience: Patience = field(default_factory=Patience)

    def fetch(self, model: HubModel, form: Form = "model") -> tuple[Path, ModelSource]:
        """Return the path of a hub's model, a folder or a checkpoint, and its commit.

        A model without a revision is the one that was downloaded last; a branch or a tag is asked
        for anew.
        """
        hub = self.settings.hubs[model.hub or self.settings.default]
        model_id = id_on(hub.name, model.id)
        root = self.settings.folder / hub.name / model_id
        folder = find_local(root, model.revision, form)
        if folder is None:
            requested = RequestedFile(model_id, None, root)
            with self._failures_explained(hub, requested), locked(root / ".lock", self.progress):
                folder = find_local(root, model.revision, form)
                folder = folder or self._download_model(hub, model_id, model.revision, form, root)
        commit = folder.name.partition("-")[0]
        return model_path(folder, form), ModelSource(hub=hub.name, id=model_id, revision=commit)

    def complete(self, source: ModelSource) -> None:
        """Download what a hub's model that is here lacks, because an earlier release left it out.

        A hub is asked only if that is not known from the download.
        """
        hub, commit = self.settings.hubs[source.hub], source.revision
        root = self.settings.folder / source.hub / source.id
        if is_complete(root, commit, "model"):
            return
        requested = RequestedFile(source.id, None, folder_of(root, commit, "model"))
        with (
            self._failures_explained(hub, requested),
            locked(root / ".lock", self.progress),
            self._connect(hub) as connection,
        ):
            listing = _list(connection, hub, source.id, commit)
            self._download_needed(connection, hub, source.id, listing, requested.folder, "model")
            record_listing(root, commit, [file.name for file in listing.files])

    def fetch_published(
        self, model: PublishedModel, target: Path, source: ModelSource | None = None
    ) -> None:
        """Download the checkpoint of a published model to `target`, unless it is there.

        With the source that a bundle names, its commit is taken, if the hub is the same.
        """
        chosen = model.hub or self.settings.chosen
        name = chosen or (source.hub if source else self.settings.default)
        hub = self.settings.hubs[name]
        pinned = source.revision if source and source.hub == name else None
        requested = RequestedFile(published_id(model.name, name), MODELS[model.name], target.parent)
        lock = target.with_name(f".{target.name}.lock")
        with self._failures_explained(hub, requested), locked(lock, self.progress):
            if not target.is_file():
                self._download_published(hub, requested, pinned, target)

    def _download_model(
        self, hub: Hub, model_id: str, revision: str | None, form: Form, root: Path
    ) -> Path:
        """Return the folder of a revision after downloading the files that are not here."""
        with self._connect(hub) as connection:
            listing = _list(connection, hub, model_id, revision)
            folder = folder_of(root, listing.revision, form)
            if not folder.is_dir():
                part = folder.with_name(f"{folder.name}{PART}")
                part.mkdir(exist_ok=True)
                self._download_needed(connection, hub, model_id, listing, part, form)
                record_listing(root, listing.revision, [file.name for file in listing.files])
                part.rename(folder)
        set_current(root, revision, listing.revision)
        return folder

    def _download_needed(
        self,
        connection: HubConnection,
        hub: Hub,
        model_id: str,
        listing: Listing,
        folder: Path,
        form: Form,
    ) -> None:
        """Download the needed files that are not in a folder yet."""
        by_name = {file.name: file for file in listing.files}
        names = select_files(list(by_name), form).names
        files = {folder / name: by_name[name] for name in names}
        for path in files:
            path.parent.mkdir(exist_ok=True)
        self._download_files(connection, hub, model_id, listing.revision, files)

    def _download_published(
        self, hub: Hub, requested: RequestedFile, revision: str | None, target: Path
    ) -> None:
        with self._connect(hub) as connection:
            listing = _list(connection, hub, requested.model_id, revision)
            files = [file for file in listing.files if file.name == requested.file_name]
            if not files:
                raise HubError(f"{requested.model_id} has no such file there")
            requested = replace(requested, sha256=files[0].sha256)
            with self._failures_explained(hub, requested):
                self._download_files(
                    connection, hub, requested.model_id, listing.revision, {target: files[0]}
                )
        source = ModelSource(hub=hub.name, id=requested.model_id, revision=listing.revision)
        record_source(target, source, files[0].sha256 or sha256_of(target))

    def _download_files(
        self,
        connection: HubConnection,
        hub: Hub,
        model_id: str,
        revision: str,
        files: dict[Path, HubFile],
    ) -> None:
        """Download the files that are not here, each to its path."""
        missing = {path: file for path, file in files.items() if not path.exists()}
        total = sum(file.size or 0 for file in missing.values())
        _check_space(missing, total)
        progress = ByteProgress(self.progress, f"downloading {model_id} (MB)", total)
        for path, file in missing.items():
            download(connection, hub.file_url(model_id, revision, file.name), file, path, progress)

    def _connect(self, hub: Hub) -> HubConnection:
        if self.settings.offline:
            raise HubError("HF_HUB_OFFLINE forbids downloads")
        return HubConnection(hub, self.patience)

    @contextmanager
    def _failures_explained(self, hub: Hub, requested: RequestedFile) -> Iterator[None]:
        """Raise BadModel, with what to do, for a hub or a disk that fails."""
        try:
            yield
        except HubError as error:
            hubs = self.settings.with_first(hub)
            raise BadModel(describe_failure(requested, hubs, error)) from error
        except OSError as error:
            raise BadModel(
                f"cannot store {requested.label} in {requested.folder}: {error.strerror}. What has "
                "arrived is kept, and the same command continues; TUSOU_MODELS names another folder"
            ) from error


def _list(connection: HubConnection, hub: Hub, model_id: str, revision: str | None) -> Listing:
    listing = hub.list_files(connection.read_json, model_id, revision)
    if not is_commit(listing.revision):
        raise HubError("it names no commit")
    if is_commit(revision) and listing.revision != revision:
        raise HubError("it lists another commit than it was asked for")
    return listing


def _check_space(files: Iterable[Path], total: int) -> None:
    """Raise BadModel if the disk has too little space for the download."""
    parts = [part_of(path) for path in files]
    if not parts:
        return
    folder = parts[0].parent
    needed = total - sum(part.stat().st_size for part in parts if part.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BadModel(
            f"the download needs {needed / _GB:.2f} GB in {folder}, and {free / _GB:.2f} GB are "
            "free: free some, or set TUSOU_MODELS to a folder on another disk"
        )
