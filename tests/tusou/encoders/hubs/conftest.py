"""A hub on this machine with models in the forms that hubs hand them out in."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer, Repository

from tusou.encoders.hubs.connection import Patience
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.hubs.settings import read_settings

COMMIT, OLD_COMMIT = "36e679e65c2a2fead755ae21162091293ad37834", "c" * 40
CHECKPOINT = random.Random(0).randbytes(300_000)
TENSORS = random.Random(1).randbytes(3_000_000)
ID = "OFA-Sys/chinese-clip-vit-base-patch16"

FOLDER = {
    ".gitattributes": b"*.bin filter=lfs\n",
    "README.md": b"---\nlicense: apache-2.0\n---\n",
    "clip_cn_vit-b-16.pt": CHECKPOINT,
    "config.json": b'{"model_type": "chinese_clip"}',
    "preprocessor_config.json": b"{}\n",
    "pytorch_model.bin": TENSORS,
    "vocab.txt": "[PAD]\n[unused1]\n衣\n".encode(),
}
NEEDED = FOLDER.keys() - {".gitattributes", "clip_cn_vit-b-16.pt"}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    old = {**FOLDER, "pytorch_model.bin": b"old tensors"}
    repository = Repository({COMMIT: FOLDER, OLD_COMMIT: old})
    repositories = {ID: repository, ID.replace("OFA-Sys", "AI-ModelScope"): repository}
    with HubServer(repositories).running() as server:
        yield server


class RecordedProgress:
    """Keeps what a download reports."""

    def __init__(self) -> None:
        self.labels: list[tuple[str, int]] = []
        self.megabytes = 0
        self.notices: list[str] = []

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.labels.append((label, total))
        self.megabytes = done

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.megabytes += steps

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture(params=["huggingface", "modelscope"])
def fetcher(
    hub: HubServer, tmp_path: Path, progress: RecordedProgress, request: pytest.FixtureRequest
) -> Fetcher:
    return make_fetcher(hub, tmp_path, progress, TUSOU_HUB=request.param)


def make_fetcher(
    hub: HubServer, folder: Path, progress: RecordedProgress, **environment: str
) -> Fetcher:
    """Return a fetcher from the server, which waits for hundredths of a second."""
    settings = {
        "HF_ENDPOINT": hub.url,
        "MODELSCOPE_ENDPOINT": f"{hub.url}/",
        "TUSOU_MODELS": str(folder / "models"),
        **environment,
    }
    patience = Patience(contact=2.0, silence=0.5, pause=0.01, longest_wait=2.0)
    return Fetcher(read_settings(settings), progress, patience)
