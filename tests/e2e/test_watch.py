"""`tusou watch` keeps a real live service in step with a folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import pytest
from drawing import image_bytes
from tusou_client import Client, ServiceError
from tusou_client.errors import Unreachable
from tusou_client.watch import Watcher, WatchReport
from tusou_client.watch_folder import WatchedAttributes
from tusou_client.watch_state import STATE_NAME, WatchState
from tusou_indexer.build import BuildSpec, build

from tests.browser.serving import Site, serving
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InputError, Locked

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
BASE = {"老款/鞋", "老款/裙"}


@pytest.fixture(scope="module")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    for n, name in enumerate(sorted(BASE)):
        write(folder / "images" / f"{name}.jpg", image_bytes(n))
    attributes = folder / "base.csv"
    attributes.write_text("item_id,price\n老款/鞋,5.5\n")
    spec = BuildSpec(str(folder / "images"), str(tiny_model), workers=1, attributes=attributes)
    build(spec, folder / "bundle", NoProgress())
    return folder / "bundle"


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[Site]:
    with serving(bundle, bundle.parent / "log", TUSOU_LIVE="on", TUSOU_TIMEOUT_MS="30000") as site:
        yield site


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with Client(site.url) as client:
        yield client
        for item in client.items():
            if item["item_id"] not in BASE:
                client.delete_item(str(item["item_id"]))


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@dataclass
class Run:
    """A watcher in this process, without pauses, and what it has reported."""

    watcher: Watcher
    notices: list[str] = field(default_factory=list)

    def settle(self) -> WatchReport:
        """Make the two passes after which a change of the folder has been sent."""
        first, second = self.watcher.step(), self.watcher.step()
        assert first.is_empty or second.is_empty
        return second if first.is_empty else first


@contextmanager
def watching(client: Client, folder: Path, attributes: Path | None = None) -> Iterator[Run]:
    with WatchState(folder, client.url) as state:
        table = WatchedAttributes(attributes) if attributes else None
        notices: list[str] = []
        yield Run(Watcher(client, folder, state, table, notices.append), notices)


def ids(client: Client) -> set[str]:
    return {str(item["item_id"]) for item in client.items()} - BASE


def test_a_folder_is_followed(client: Client, tmp_path: Path) -> None:
    red, blue = tmp_path / "新品/红裙.jpg", tmp_path / "1.jpg#zhc#0.png"
    write(red, image_bytes(100))
    write(blue, image_bytes(101, form="PNG"))
    write(tmp_path / "notes.txt", b"no image")
    with watching(client, tmp_path) as run:
        assert run.watcher.step() == WatchReport(put=2)
        assert ids(client) == {"新品/红裙", "1.jpg#zhc#0"}
        assert client.item_image("新品/红裙") == image_bytes(100)
        assert run.settle() == WatchReport()
        red.write_bytes(image_bytes(102))
        os.utime(blue, (5, 5))  # another time, the same content
        assert run.watcher.step() == WatchReport(unsettled=2)
        assert run.watcher.step() == WatchReport(put=1)
        assert client.item_image("新品/红裙") == image_bytes(102)
        red.unlink()
        assert run.watcher.step() == WatchReport()
        assert run.watcher.step() == WatchReport(deleted=1)
        assert ids(client) == {"1.jpg#zhc#0"}
        assert run.settle() == WatchReport()
        assert run.notices == []
    assert {str(item["item_id"]) for item in client.items()} >= BASE


def test_a_second_image_of_the_same_name_gives_both_their_ending(
    client: Client, tmp_path: Path
) -> None:
    write(tmp_path / "a.jpg", image_bytes(1))
    with watching(client, tmp_path) as run:
        assert run.settle() == WatchReport(put=1)
        write(tmp_path / "a.png", image_bytes(2, form="PNG"))
        run.watcher.step()
        run.settle()
        assert ids(client) == {"a.jpg", "a.png"}


def test_attributes_are_put_and_patched(client: Client, tmp_path: Path) -> None:
    table = tmp_path / "goods.jsonl"

    def write_rows(*rows: dict[str, object]) -> None:
        table.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    write(tmp_path / "裙.jpg", image_bytes(1))
    write(tmp_path / "鞋.jpg", image_bytes(2))
    write_rows({"item_id": "裙", "title": "碎花裙", "price": 9.5}, {"item_id": "帽", "price": 1.5})
    with watching(client, tmp_path, table) as run:
        assert run.settle() == WatchReport(put=2)
        assert client.item("裙")["attributes"] == {"title": "碎花裙", "price": 9.5}
        assert client.item("鞋")["attributes"] == {}
        write_rows({"item_id": "裙", "price": 8.25, "tags": ["夏季"]})
        assert run.settle() == WatchReport(patched=1)
        assert client.item("裙")["attributes"] == {"price": 8.25, "tags": ["夏季"]}
        write_rows({"item_id": "裙", "price": 1.5}, {"item_id": "裙", "price": 2.5})
        assert run.settle() == WatchReport()
        assert run.settle() == WatchReport()
        assert len(run.notices) == 1
        assert "line 2: the item of line 1 again" in run.notices[0]
        client.delete_item("裙")  # by another client
        write_rows({"item_id": "裙", "price": 3.5})
        run.settle()
        run.settle()
        assert client.item("裙")["attributes"] == {"price": 3.5}
    with watching(client, tmp_path) as run:  # without the file, attributes are left alone
        assert run.settle() == WatchReport()
    with pytest.raises(BadDataset):
        WatchedAttributes(tmp_path / "裙.jpg")


def test_what_is_refused_is_reported_once_and_sent_again_when_it_changes(
    client: Client, tmp_path: Path
) -> None:
    good, bad = tmp_path / "好.jpg", tmp_path / "坏.jpg"
    write(good, image_bytes(1))
    write(bad, image_bytes(2)[:200])
    long = tmp_path / f"{'长' * 60}/{'长' * 60}.jpg"
    write(long, image_bytes(3))
    with watching(client, tmp_path) as run:
        assert run.settle() == WatchReport(put=1, refused=1)
        good.write_bytes(b"no image")
        assert run.settle() == WatchReport(refused=1)
        assert run.settle() == WatchReport()
        assert sorted(notice.partition(":")[0] for notice in run.notices) == sorted(
            ["坏.jpg", "好.jpg", f"{'长' * 60}/{'长' * 60}.jpg"]
        )
        assert client.item_image("好") == image_bytes(1)  # as it was
    long.unlink()
    with watching(client, tmp_path) as run:
        assert run.settle() == WatchReport()
        assert run.notices == []
        good.unlink()
        bad.write_bytes(image_bytes(2))
        assert run.watcher.step() == WatchReport(unsettled=1)
        assert run.watcher.step() == WatchReport(put=1, deleted=1)
        assert ids(client) == {"坏"}


def test_a_file_that_cannot_be_sent_is_named_once(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "大.jpg", image_bytes(1) + bytes(16 * 2**20))
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(image_bytes(2))
    with watching(client, tmp_path) as run:
        assert run.settle() == WatchReport(refused=1)
        assert run.settle() == WatchReport()
        assert run.notices == ["\ufffd.jpg: id is not UTF-8", "大.jpg: larger than 16 MiB"]
        assert ids(client) == set()


def test_a_restart_sends_the_differences(client: Client, tmp_path: Path) -> None:
    for n in range(40):
        write(tmp_path / f"{n}.jpg", image_bytes(n))
    with watching(client, tmp_path) as run:
        assert run.settle() == WatchReport(put=40)
    client.put_item("另一个", image=image_bytes(99))
    (tmp_path / "7.jpg").unlink()
    (tmp_path / "8.jpg").write_bytes(image_bytes(88))
    with (tmp_path / STATE_NAME).open("ab") as file:
        file.write(b'{"id": "5", "na')  # cut by a crash
    with watching(client, tmp_path) as run:
        assert run.settle() == WatchReport(put=1, deleted=1)
        assert ids(client) == {*map(str, range(40)), "另一个"} - {"7"}


def test_a_folder_that_vanishes_deletes_nothing(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    write(folder / "a.jpg", image_bytes(1))
    with watching(client, folder) as run:
        assert run.settle() == WatchReport(put=1)
        folder.rename(tmp_path / "elsewhere")
        for _ in range(3):
            with pytest.raises(FileNotFoundError):
                run.watcher.step()
        folder.mkdir()
        with pytest.raises(FileNotFoundError):
            run.watcher.step()
        folder.rmdir()
        (tmp_path / "elsewhere").rename(folder)
        assert run.settle() == WatchReport()
        assert ids(client) == {"a"}


def test_a_state_belongs_to_one_process_and_one_service(client: Client, tmp_path: Path) -> None:
    with WatchState(tmp_path, client.url), pytest.raises(Locked):
        WatchState(tmp_path, client.url)
    with pytest.raises(InputError, match="about the service"):
        WatchState(tmp_path, "http://127.0.0.1:1")
    (tmp_path / STATE_NAME).write_bytes(b'{"url": 5}\n[]\n')
    with pytest.raises(InputError, match="damaged"):
        WatchState(tmp_path, client.url)


def test_a_service_that_is_away_can_be_waited_for(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", image_bytes(1))
    with (
        Client("http://127.0.0.1:9") as client,
        watching(client, tmp_path) as run,
        pytest.raises(Unreachable),
    ):
        run.watcher.step()


def test_a_service_that_is_not_live_ends_the_command(bundle: Path, tmp_path: Path) -> None:
    write(tmp_path / "images/a.jpg", image_bytes(1))
    with (
        serving(bundle, tmp_path / "log") as site,
        Client(site.url) as client,
        watching(client, tmp_path / "images") as run,
        pytest.raises(ServiceError) as raised,
    ):
        run.watcher.step()
    assert raised.value.code == "live_off"


def until(condition: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        sleep(0.05)


def interrupted(running: "subprocess.Popen[bytes]") -> int:
    """Press Ctrl-C, and once more: Python loses an interrupt that meets a destructor."""
    for _ in range(2):
        running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return running.wait(timeout=30)
    raise AssertionError("it does not end")


def test_the_command_waits_for_the_service_and_ends_with_ctrl_c(
    bundle: Path, client: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    write(folder / "a.jpg", image_bytes(1))
    command = [sys.executable, "-m", "tusou", "watch", str(folder), "--interval", "0.1"]
    once = [*command, "--url", client.url, "--once", "--json"]
    done = subprocess.run(once, capture_output=True, text=True, check=True, timeout=120)
    report = {"put": 1, "patched": 0, "deleted": 0, "refused": 0, "unsettled": 0}
    assert json.loads(done.stdout) == report
    done = subprocess.run(once, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == report | {"put": 0}
    (folder / STATE_NAME).unlink()

    own = tmp_path / "bundle"
    subprocess.run(["cp", "-r", str(bundle), str(own)], check=True)
    subprocess.run(["rm", "-rf", str(own / "live")], check=True)
    with ExitStack() as stack:
        settings = {"TUSOU_LIVE": "on"}
        with serving(own, tmp_path / "log", **settings) as site:
            port = site.url.rpartition(":")[2]
            out, err = (stack.enter_context((tmp_path / n).open("w")) for n in ("out", "err"))
            running = stack.enter_context(
                subprocess.Popen([*command, "--url", site.url], stdout=out, stderr=err)
            )
            stack.callback(running.kill)
            until(lambda: "1 put" in (tmp_path / "out").read_text())
        write(folder / "b.jpg", image_bytes(2))
        until(lambda: "waiting" in (tmp_path / "err").read_text())
        with serving(own, tmp_path / "log2", port=port, **settings) as site:
            until(lambda: (tmp_path / "out").read_text().count("1 put") == 2)
            with Client(site.url) as again:
                assert ids(again) == {"a", "b"}
            assert interrupted(running) == 130
    assert (tmp_path / "err").read_text().count("waiting") == 1


def test_a_killed_command_goes_on_where_it_was(client: Client, tmp_path: Path) -> None:
    for n in range(60):
        write(tmp_path / f"{n % 3}/{n}.jpg", image_bytes(n))
    state = tmp_path / STATE_NAME
    command = [sys.executable, "-m", "tusou", "watch", str(tmp_path), "--url", client.url]
    command += ["--interval", "0.1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        until(lambda: state.exists() and state.read_bytes().count(b"\n") > 1)
        running.kill()
    recorded = state.read_bytes().count(b"\n") - 1
    assert recorded > 0
    done = subprocess.run([*command, "--once"], capture_output=True, check=True, timeout=120)
    assert json.loads(done.stdout)["put"] == 60 - recorded
    assert ids(client) == {f"{n % 3}/{n}" for n in range(60)}
