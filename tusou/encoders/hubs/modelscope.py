"""The hub modelscope.cn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tusou.bundle.model_record import HubName
from tusou.encoders.hubs.base import HubError, HubFile, Listing

DEFAULT_ENDPOINT = "https://modelscope.cn"
_BRANCH = "master"


@dataclass(frozen=True, slots=True)
class ModelScope:
    """modelscope.cn by its HTTP API.

    The package `modelscope` is not used: it brings dozens of others and retries for minutes.
    """

    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    name: HubName = "modelscope"

    def headers(self) -> dict[str, str]:
        return {"Cookie": f"m_session_id={self.token}"} if self.token else {}

    def list_files(
        self, read_json: Callable[[str], Any], model_id: str, revision: str | None
    ) -> Listing:
        revision = revision or _BRANCH
        commits = f"{self._model(model_id)}/commits"
        page = urlencode({"Ref": revision, "PageNumber": 1, "PageSize": 1})
        try:
            (commit, *_) = _read_data(read_json(f"{commits}?{page}"))["Commit"]
            revision = str(commit["Id"])
            query = urlencode({"Revision": revision, "Recursive": "True"})
            data = _read_data(read_json(f"{self._model(model_id)}/repo/files?{query}"))
            files = [file for file in data["Files"] if file["Type"] != "tree"]
            return Listing(revision, tuple(map(_read_file, files)))
        except (TypeError, KeyError, ValueError):
            raise HubError("its list of files cannot be read") from None

    def file_url(self, model_id: str, revision: str, file_name: str) -> str:
        query = urlencode({"Revision": revision, "FilePath": file_name})
        return f"{self._model(model_id)}/repo?{query}"

    def page_url(self, model_id: str) -> str:
        return f"{self.endpoint}/models/{model_id}/files"

    def _model(self, model_id: str) -> str:
        return f"{self.endpoint}/api/v1/models/{quote(model_id)}"


def _read_data(answer: Any) -> Any:
    """Return what an answer holds; it may report an error under the status 200."""
    if not answer.get("Success", True):
        raise HubError(f"it reports an error (code {answer.get('Code')})")
    return answer["Data"]


def _read_file(file: dict[str, Any]) -> HubFile:
    return HubFile(file["Path"], file.get("Size"), file.get("Sha256") or None)
