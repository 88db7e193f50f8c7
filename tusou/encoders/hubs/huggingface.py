"""The hub huggingface.co, and its mirrors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tusou.bundle.model_record import HubName
from tusou.encoders.hubs.base import HubError, HubFile, Listing

DEFAULT_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """huggingface.co by its HTTP API.

    `huggingface_hub` is not used: it retries a dead network for a minute and checks no digest.
    """

    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    name: HubName = "huggingface"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def list_files(
        self, read_json: Callable[[str], Any], model_id: str, revision: str | None
    ) -> Listing:
        branch = quote(revision or "main", safe="")
        answer = read_json(f"{self.endpoint}/api/models/{model_id}/revision/{branch}?blobs=true")
        try:
            return Listing(str(answer["sha"]), tuple(map(_read_file, answer["siblings"])))
        except (TypeError, KeyError):
            raise HubError("its list of files cannot be read") from None

    def file_url(self, model_id: str, revision: str, file_name: str) -> str:
        return f"{self.endpoint}/{model_id}/resolve/{quote(revision, safe='')}/{quote(file_name)}"

    def page_url(self, model_id: str) -> str:
        return f"{self.endpoint}/{model_id}/tree/main"


def _read_file(sibling: dict[str, Any]) -> HubFile:
    name, large = sibling["rfilename"], sibling.get("lfs")
    if large:  # the size beside it may be that of the pointer
        return HubFile(name, large.get("size"), large.get("sha256"))
    return HubFile(name, sibling.get("size"), git_sha1=sibling.get("blobId"))
