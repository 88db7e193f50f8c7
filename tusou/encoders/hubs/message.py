"""The message for a model that could not be downloaded: how to get it by other means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.encoders.hubs.base import Hub, HubError
from tusou.encoders.hubs.published import id_on


@dataclass(frozen=True, slots=True)
class RequestedFile:
    """A file or a model to be downloaded, and the folder that it belongs in."""

    model_id: str
    file_name: str | None  # None: the files of the model
    folder: Path
    sha256: str | None = None

    @property
    def label(self) -> str:
        """The file, or the model's id."""
        return self.file_name or self.model_id


def describe_failure(requested: RequestedFile, hubs: Sequence[Hub], error: HubError) -> str:
    """Return what failed and what to do; the first hub is the one that was asked."""
    hub, other = hubs[0], hubs[1]
    pages = " or ".join(each.page_url(id_on(each.name, requested.model_id)) for each in hubs)
    name = requested.file_name
    folder = requested.folder
    what = name or "its files (config.json, the tokenizer's, the tensors)"
    use = f"into {folder}" if name else f"into a folder such as {folder}, and give it to --model"
    digest = f"is {requested.sha256}" if requested.sha256 else "must be the one on its page there"
    path = folder / name if name else "FOLDER"
    return (
        f"could not download {requested.label} from {hub.endpoint}: {error}. Try --hub "
        f"{other.name}, or for huggingface a mirror (HF_ENDPOINT); or, with another machine, "
        f"download {what} from {pages} {use}. To check: the SHA-256 (sha256sum) {digest}, and "
        f"`tusou info {path}` reads it"
    )
