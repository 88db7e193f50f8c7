"""Hubs that cannot be reached: refused, silent, or behind a host name that does not resolve."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
from hub_server import Fault, HubServer

from tusou.core.errors import BadModel, InvalidRequest
from tusou.encoders.hubs.connection import HubConnection, Patience
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.hubs.settings import read_settings
from tusou.encoders.model_name import HubModel, PublishedModel

from .conftest import CHECKPOINT, ID, RecordedProgress, make_fetcher

PATIENCE = Patience(contact=0.3)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose queue of connections is full: the system answers no further one."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def fetcher_at(endpoint: str, folder: Path) -> Fetcher:
    settings = read_settings({"HF_ENDPOINT": endpoint, "TUSOU_MODELS": str(folder)})
    return Fetcher(settings, RecordedProgress(), PATIENCE)


def test_a_silent_address_is_given_up(silent_port: int, tmp_path: Path) -> None:
    fetcher = fetcher_at(f"http://127.0.0.1:{silent_port}", tmp_path)
    with pytest.raises(BadModel, match=r"it cannot be reached within 0\.3 s"):
        fetcher.fetch(HubModel(ID))


def test_a_refused_connection_is_told(closed_port: int, tmp_path: Path) -> None:
    fetcher = fetcher_at(f"http://127.0.0.1:{closed_port}", tmp_path)
    with pytest.raises(BadModel, match=r"it cannot be reached \(ConnectError\)"):
        fetcher.fetch(HubModel(ID))


def test_a_connection_that_is_never_encrypted_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        fetcher = fetcher_at(f"https://127.0.0.1:{server.getsockname()[1]}", tmp_path)
        with pytest.raises(BadModel, match=r"it cannot be reached within 0\.3 s"):
            fetcher.fetch(HubModel(ID))


def test_a_name_that_is_never_resolved_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = Event()

    def resolve(*_: object, **__: object) -> list[object]:
        resolved.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    fetcher = fetcher_at("https://hub.example", tmp_path)
    try:
        with pytest.raises(BadModel, match=r"it cannot be reached within 0\.3 s"):
            fetcher.fetch(HubModel(ID))
    finally:
        resolved.set()


def test_the_limit_leaves_time_for_the_command() -> None:
    assert Patience().contact <= 3  # of 5 seconds


def test_the_message_says_which_file_from_where_into_which_folder(
    closed_port: int, tmp_path: Path
) -> None:
    fetcher = fetcher_at(f"http://127.0.0.1:{closed_port}/", tmp_path)
    with pytest.raises(BadModel) as raised:
        fetcher.fetch_published(PublishedModel("ViT-B-16"), tmp_path / "clip_cn_vit-b-16.pt")
    endpoint, other = f"http://127.0.0.1:{closed_port}", "https://modelscope.cn"
    assert str(raised.value) == (
        f"could not download clip_cn_vit-b-16.pt from {endpoint}: it cannot be reached "
        "(ConnectError). Try --hub modelscope, or for huggingface a mirror (HF_ENDPOINT); or, with "
        f"another machine, download clip_cn_vit-b-16.pt from {endpoint}/{ID}/tree/main or "
        f"{other}/models/AI-ModelScope/chinese-clip-vit-base-patch16/files into {tmp_path}. To "
        "check: the SHA-256 (sha256sum) must be the one on its page there, and `tusou info "
        f"{tmp_path}/clip_cn_vit-b-16.pt` reads it"
    )
    assert raised.value.code == "bad_model"


def test_a_model_of_several_files_is_named_by_its_id(closed_port: int, tmp_path: Path) -> None:
    fetcher = fetcher_at(f"http://127.0.0.1:{closed_port}", tmp_path)
    with pytest.raises(BadModel, match=r"its files \(config\.json, the tokenizer's, the tensors\)"):
        fetcher.fetch(HubModel("a/b"))


def test_the_digest_is_told_once_the_hub_has_named_it(
    hub: HubServer, tmp_path: Path, progress: RecordedProgress
) -> None:
    fetcher = make_fetcher(hub, tmp_path, progress)
    hub.faults = [Fault(status=403)]
    digest = hashlib.sha256(CHECKPOINT).hexdigest()
    with pytest.raises(BadModel, match=rf"To check: the SHA-256 \(sha256sum\) is {digest}"):
        fetcher.fetch_published(PublishedModel("ViT-B-16"), tmp_path / "clip_cn_vit-b-16.pt")


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_downloads_can_be_forbidden(
    hub: HubServer, tmp_path: Path, progress: RecordedProgress, value: str
) -> None:
    make_fetcher(hub, tmp_path, progress).fetch(HubModel(ID))
    hub.requests.clear()
    fetcher = make_fetcher(hub, tmp_path, progress, HF_HUB_OFFLINE=value)
    fetcher.fetch(HubModel(ID))
    with pytest.raises(BadModel, match="HF_HUB_OFFLINE forbids downloads"):
        fetcher.fetch(HubModel("a/b"))
    assert hub.requests == []


def test_an_unknown_hub_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="TUSOU_HUB='gitee': give huggingface or modelscope"):
        read_settings({"TUSOU_HUB": "gitee"})


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="begins with https:// or http://"):
        read_settings({"HF_ENDPOINT": "hub.example"})


def test_empty_variables_are_as_if_unset() -> None:
    empty = dict.fromkeys(("TUSOU_HUB", "TUSOU_MODELS", "HF_ENDPOINT", "HF_TOKEN"), "")
    assert read_settings(empty) == read_settings({})


def test_a_token_is_in_no_representation() -> None:
    assert "hf_secret" not in repr(read_settings({"HF_TOKEN": "hf_secret"}))


@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTPS_PROXY"])
def test_a_proxy_that_cannot_be_used_is_no_network(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "ftp://127.0.0.1:9")
    with pytest.raises(InvalidRequest, match=r"proxy variables .* cannot be used"):
        HubConnection(read_settings({}).hubs["huggingface"], PATIENCE)
