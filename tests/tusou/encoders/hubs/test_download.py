"""Downloads that break off, stall, are refused or bring other bytes than they should."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import LOGIN_PAGE, Fault, HubServer

from tusou.core.errors import BadModel
from tusou.encoders.hubs.download import part_of
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.model_name import HubModel, PublishedModel

from .conftest import CHECKPOINT, COMMIT, ID, TENSORS, RecordedProgress

MODEL = PublishedModel("ViT-B-16")
WHOLE = len(CHECKPOINT)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip_cn_vit-b-16.pt"


def ranges(hub: HubServer) -> list[str | None]:
    """Return the ranges of the requests for the bytes of a large file."""
    return [span for path, span, _ in hub.requests if path.startswith("/storage/")]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(break_after=100_000), id="broken off"),
        pytest.param(Fault(stall_after=100_000), id="silent"),
    ],
)
def test_a_download_goes_on_where_it_broke_off(
    fetcher: Fetcher, hub: HubServer, target: Path, progress: RecordedProgress, fault: Fault
) -> None:
    hub.faults = [fault]
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT
    assert ranges(hub) == [None, "bytes=100000-"]
    (notice,) = progress.notices
    assert notice.startswith("clip_cn_vit-b-16.pt: the connection failed (")


def test_a_slow_download_arrives(fetcher: Fetcher, hub: HubServer, target: Path) -> None:
    hub.faults = [Fault(pause=0.2)]  # below the silence after which a connection is given up
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT
    assert ranges(hub) == [None]


def test_what_a_failed_command_has_left_is_continued(
    fetcher: Fetcher, hub: HubServer, target: Path
) -> None:
    breaks = fetcher.patience.attempts
    hub.faults = [Fault(break_after=150_000), *[Fault(break_after=0)] * breaks]
    with pytest.raises(BadModel, match="the connection failed"):
        fetcher.fetch_published(MODEL, target)
    assert not target.exists()
    assert part_of(target).read_bytes() == CHECKPOINT[:150_000]
    hub.requests.clear()
    hub.faults.clear()
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT
    assert ranges(hub) == ["bytes=150000-"]


def test_bytes_between_failures_let_a_download_go_on(
    fetcher: Fetcher, hub: HubServer, target: Path
) -> None:
    hub.faults = [Fault(break_after=20_000)] * 14  # more than the attempts without a byte
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT


def test_a_model_of_several_files_is_no_folder_before_all_are_there(
    fetcher: Fetcher, hub: HubServer
) -> None:
    small = 4  # files before the tensors
    hub.faults = [*[Fault()] * small, *[Fault(break_after=0)] * fetcher.patience.attempts]
    with pytest.raises(BadModel):
        fetcher.fetch(HubModel(ID))
    (part,) = fetcher.settings.folder.glob("*/*/*/*.part")
    assert (part / "config.json").exists()
    assert not (part / "pytorch_model.bin").exists()
    hub.requests.clear()
    hub.faults.clear()
    path, _ = fetcher.fetch(HubModel(ID))
    assert (path / "pytorch_model.bin").read_bytes() == TENSORS
    assert len(hub.paths("config.json")) == 0
    assert not part.exists()


def test_a_server_that_ignores_ranges_sends_all_again(
    fetcher: Fetcher, hub: HubServer, target: Path
) -> None:
    hub.faults = [Fault(break_after=100_000), Fault(ignores_range=True)]
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(b"x" * 100_000, id="other bytes"),
        pytest.param(b"x" * WHOLE, id="as many other bytes"),
        pytest.param(b"x" * (WHOLE + 1), id="more bytes"),
    ],
)
def test_a_part_of_another_file_is_dropped(
    fetcher: Fetcher, target: Path, progress: RecordedProgress, left: bytes
) -> None:
    part_of(target).write_bytes(left)
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="flipped bit"),
        pytest.param(lambda data: data + b"\0", id="longer"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_other_bytes_never_take_the_name(
    fetcher: Fetcher, hub: HubServer, target: Path, change: object
) -> None:
    hub.faults = [Fault(change=change)] * 9  # type: ignore[arg-type]
    with pytest.raises(BadModel, match=r"does not have the digest|ended too early"):
        fetcher.fetch_published(MODEL, target)
    assert not target.exists()
    assert part_of(target).stat().st_size == 0


def test_a_changed_small_file_is_found_by_the_digest_of_git(
    fetcher: Fetcher, hub: HubServer
) -> None:
    hub.faults = [Fault(change=bytes.swapcase)]
    with pytest.raises(BadModel, match=r"README\.md does not have the digest"):
        fetcher.fetch(HubModel(ID))


@pytest.mark.parametrize("start", [0, 100_000])
def test_a_login_page_is_told_and_spoils_nothing(
    fetcher: Fetcher, hub: HubServer, target: Path, start: int
) -> None:
    part_of(target).write_bytes(CHECKPOINT[:start])
    page = Fault(status=200, body=LOGIN_PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
    hub.faults = [page]
    with pytest.raises(BadModel, match="a web page instead of the data"):
        fetcher.fetch_published(MODEL, target)
    assert not target.exists()
    assert part_of(target).read_bytes() == CHECKPOINT[:start]
    hub.list_faults = [page]
    with pytest.raises(BadModel, match="a web page instead of the data"):
        fetcher.fetch_published(MODEL, target)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, r"refuses access \(HTTP 401\)"),
        (403, r"refuses access \(HTTP 403\)"),
        (404, r"no model, revision or file of this name \(HTTP 404\)"),
        (418, r"it fails \(HTTP 418\)"),
    ],
)
def test_a_refusal_is_not_tried_again(
    fetcher: Fetcher, hub: HubServer, target: Path, status: int, reason: str
) -> None:
    hub.faults = [Fault(status=status)]
    with pytest.raises(BadModel, match=reason):
        fetcher.fetch_published(MODEL, target)
    assert len(ranges(hub)) <= 1
    assert hub.faults == []
    hub.list_faults = [Fault(status=status)]
    with pytest.raises(BadModel, match=reason):
        fetcher.fetch_published(MODEL, target)


@pytest.mark.parametrize("status", [408, 500, 502, 503])
def test_a_fault_that_may_pass_is_tried_again(
    fetcher: Fetcher, hub: HubServer, target: Path, status: int
) -> None:
    hub.list_faults = [Fault(status=status)]
    hub.faults = [Fault(status=status)]
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT


@pytest.mark.parametrize("header", [("Retry-After", "1"), ("RateLimit", '"api";r=0;t=1')])
def test_a_hub_that_limits_requests_is_waited_for(
    fetcher: Fetcher,
    hub: HubServer,
    target: Path,
    progress: RecordedProgress,
    header: tuple[str, str],
) -> None:
    hub.faults = [Fault(status=429, headers=dict([header]))]
    fetcher.fetch_published(MODEL, target)
    assert target.read_bytes() == CHECKPOINT
    assert progress.notices[0].endswith("try again after 1 s; again in 1 s")


def test_a_long_wait_is_told_instead(fetcher: Fetcher, hub: HubServer, target: Path) -> None:
    hub.faults = [Fault(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(BadModel, match=r"limits requests \(HTTP 429\): try again after 3600 s"):
        fetcher.fetch_published(MODEL, target)


@pytest.fixture
def limited_files() -> Iterator[None]:
    """Let no file grow beyond 100,000 bytes: the system's error is like that of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_told(
    fetcher: Fetcher, target: Path, limited_files: None
) -> None:
    with pytest.raises(BadModel, match=r"cannot store clip_cn_vit-b-16\.pt in .*File too large"):
        fetcher.fetch_published(MODEL, target)
    assert not target.exists()
    kept = part_of(target).read_bytes()
    assert kept == CHECKPOINT[: len(kept)]


def test_a_folder_that_cannot_be_written_is_told(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(BadModel, match=r"cannot store .*TUSOU_MODELS"):
        fetcher.fetch(HubModel(ID))


def test_a_model_larger_than_the_disk_is_not_begun(
    fetcher: Fetcher, hub: HubServer, target: Path
) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 10**15

    commits = hub.repositories[ID].commits
    commits[COMMIT] = {**commits[COMMIT], "clip_cn_vit-b-16.pt": Huge(b"x")}
    with pytest.raises(BadModel, match=r"needs 1000000\.00 GB in .*TUSOU_MODELS"):
        fetcher.fetch_published(MODEL, target)
    assert ranges(hub) == []


_COMMAND = """
import sys
from pathlib import Path
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.hubs.settings import read_settings
from tusou.encoders.model_name import HubModel
settings = read_settings({"HF_ENDPOINT": sys.argv[1], "TUSOU_MODELS": sys.argv[2]})
print(Fetcher(settings).fetch(HubModel(sys.argv[3]))[0])
"""


@pytest.mark.services
def test_two_processes_download_a_model_once(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = [Fault(pause=0.3)] * 5
    command = [sys.executable, "-c", _COMMAND, hub.url, str(tmp_path), ID]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    (path,) = paths
    assert (Path(path) / "pytorch_model.bin").read_bytes() == TENSORS
    assert len(ranges(hub)) == 1


@pytest.mark.services
def test_a_killed_download_is_continued_by_the_next(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = [*[Fault()] * 4, Fault(stall_after=1_100_000)]
    command = [sys.executable, "-c", _COMMAND, hub.url, str(tmp_path), ID]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE)
    part = tmp_path / "huggingface" / ID
    while not any(path.stat().st_size >= 2**20 for path in part.glob("*.part/*.bin.part")):
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    assert list(part.glob("[0-9a-f]*[0-9a-f]/")) == []
    hub.requests.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (Path(done.stdout.strip()) / "pytorch_model.bin").read_bytes() == TENSORS
    (span,) = ranges(hub)
    assert span is not None
    assert int(span.removeprefix("bytes=").removesuffix("-")) >= 2**20
