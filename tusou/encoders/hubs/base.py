"""The protocol of a hub of models, and what its list of files says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tusou.bundle.model_record import HubName


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in the list of a hub; what the hub does not say is None."""

    name: str  # relative to the model, with slashes
    size: int | None = None  # bytes
    sha256: str | None = None
    git_sha1: str | None = None  # of the content as git stores it


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a model at a commit."""

    revision: str  # the commit
    files: tuple[HubFile, ...]


class Hub(Protocol):
    """The addresses of a hub, and how to read its lists; requests are made by the caller."""

    @property
    def name(self) -> HubName:
        """The name that `--hub` takes."""

    @property
    def endpoint(self) -> str:
        """The address, without a slash at its end."""

    def headers(self) -> dict[str, str]:
        """Return the headers that identify the user; they must not be sent to other hosts."""

    def list_files(
        self, read_json: Callable[[str], Any], model_id: str, revision: str | None, /
    ) -> Listing:
        """Return the files at a branch, tag or commit; None stands for the default branch.

        `read_json` returns the JSON document at an address. HubError if it is not as expected.
        """

    def file_url(self, model_id: str, revision: str, file_name: str, /) -> str:
        """Return the address of a file's bytes."""

    def page_url(self, model_id: str, /) -> str:
        """Return the address at which a browser shows the model's files."""


class HubError(Exception):
    """A request to a hub failed; the message says why.

    `may_pass` tells that the same request may succeed later, after `wait` seconds if that is known.
    """

    def __init__(self, reason: str, *, may_pass: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.may_pass, self.wait = may_pass, wait


class WebPageError(HubError):
    """A web page stands in place of the data."""

    def __init__(self) -> None:
        super().__init__(
            "it answers with a web page instead of the data: the login page of a network, or a "
            "proxy's?"
        )
