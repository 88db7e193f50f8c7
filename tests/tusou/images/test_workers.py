"""ImageWorkers: results, bad images, crashes, memory, errors, and the end of the processes."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from drawing import image_bytes

from tusou.core.errors import BadImage, DeadlineExceeded, NotReady, OutOfMemory, Unavailable
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform
from tusou.images.worker_process import BAD_IMAGE, READY, REPLY, REQUEST
from tusou.images.workers import ImageWorkers

SIZE = 16


def decode(data: bytes, size: int) -> bytes:
    return to_pixels(open_image(data), ImageTransform(size)).tobytes()


def misbehave(action: str) -> bytes:
    """Behave as a decoder might with a hostile image."""
    if action == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if action == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "hang":
        threading.Event().wait()
    if action == "use up the time":  # of the processor
        signal.setitimer(signal.ITIMER_PROF, 0.01)
        while True:
            pass
    if action == "fill":
        np.zeros(2**33, np.uint8)[:] = 1
    if action == "loop":
        while True:
            pass
    if action == "read":
        Path("/does/not/exist").read_bytes()
    return action.encode()


def crash_once(path: str) -> bytes:
    """Crash, but succeed on the next attempt."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return b"done"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers import the jobs of this module."""
    for job in (decode, misbehave, crash_once):
        monkeypatch.setattr(job, "__module__", Path(__file__).stem)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))  # "" is the cwd
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, *inherited]))


@pytest.fixture
def crashes() -> list[int]:
    return []


@pytest.fixture
def workers(crashes: list[int]) -> Iterator[ImageWorkers]:
    with ImageWorkers(misbehave, 1, on_crash=lambda: crashes.append(1)) as pool:
        yield pool


def pid_of(workers: ImageWorkers) -> int:
    (process,) = workers._idle
    return process._process.pid


def test_results_come_in_order_and_bad_images_are_values() -> None:
    images = [b"not an image" if number == 3 else image_bytes(number) for number in range(300)]
    with ImageWorkers(decode, 2) as pool:
        results = list(pool.map((image, SIZE) for image in images))
    assert len(results) == 300
    for number, result in enumerate(results):
        if number == 3:
            assert isinstance(result, BadImage)
            assert str(result) == "not a readable image"
        else:
            assert result == decode(images[number], SIZE)


def test_a_bounded_number_of_images_is_taken_ahead(workers: ImageWorkers) -> None:
    taken: list[int] = []

    def images() -> Iterator[tuple[str]]:
        for number in range(1000):
            taken.append(number)
            yield ("ok",)

    results = workers.map(images())
    assert next(results) == b"ok"
    assert len(taken) == 257


def test_no_process_runs_before_the_first_image(workers: ImageWorkers) -> None:
    assert workers._idle == []
    workers.submit("ok").result()
    first = pid_of(workers)
    workers.submit("ok").result()
    assert pid_of(workers) == first


def test_an_image_that_breaks_two_fresh_processes_is_a_bad_one(
    workers: ImageWorkers, crashes: list[int]
) -> None:
    before, bad, after = (workers.submit(each) for each in ("ok", "crash", "ok"))
    assert (before.result(), after.result()) == (b"ok", b"ok")
    with pytest.raises(BadImage, match="crashes the decoder"):
        bad.result()
    assert len(crashes) == 3  # an earlier image may have broken the first


@pytest.mark.parametrize(
    "action",
    ["use up the time", pytest.param("loop", marks=pytest.mark.slow)],  # 10 seconds
)
def test_an_image_that_takes_too_much_processor_time_is_a_bad_one(
    workers: ImageWorkers, crashes: list[int], action: str
) -> None:
    with pytest.raises(BadImage, match="takes too long to decode"):
        workers.submit(action).result()
    assert workers.submit("ok").result() == b"ok"
    assert len(crashes) == 1


def test_an_image_is_never_blamed_for_sigkill(workers: ImageWorkers, crashes: list[int]) -> None:
    with pytest.raises(OutOfMemory, match="memory is short"):
        workers.submit("be killed").result()
    assert len(crashes) == 3
    assert workers.submit("ok").result() == b"ok"


def test_a_process_is_ended_at_the_deadline_and_replaced(
    workers: ImageWorkers, crashes: list[int]
) -> None:
    hanging = workers.submit("hang", deadline=monotonic() + 2)
    waiting = workers.submit("ok", deadline=monotonic() + 0.1)
    for future in (hanging, waiting):
        with pytest.raises(DeadlineExceeded):
            future.result(timeout=60)
    assert workers.submit("ok", deadline=monotonic() + 60).result() == b"ok"
    assert len(crashes) == 1


def test_a_job_without_an_end_names_its_file() -> None:
    with ImageWorkers(misbehave, 1, job_seconds=0.2) as pool:
        with pytest.raises(TimeoutError) as raised:
            next(pool.map([("hang",)]))
        assert (raised.value.filename, raised.value.errno) == ("hang", errno.ETIMEDOUT)
        assert "file system" in raised.value.strerror


def test_a_job_that_hangs_does_not_keep_the_program() -> None:
    code = (
        "import threading\n"
        "from test_workers import misbehave\n"
        "from tusou.images.workers import ImageWorkers\n"
        "with ImageWorkers(misbehave, 1) as pool:\n"
        "    pool.submit('ok').result()\n"
        "    pool.submit('hang')\n"
        "    while not pool._running: pass\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=25)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses to set the limit")
def test_an_image_that_fills_the_memory_is_a_bad_one(
    workers: ImageWorkers, crashes: list[int]
) -> None:
    with pytest.raises(BadImage, match="too much memory"):
        workers.submit("fill").result()
    first = pid_of(workers)
    assert workers.submit("ok").result() == b"ok"
    assert (pid_of(workers), crashes) == (first, [])


def test_a_file_that_cannot_be_read_is_not_a_bad_image(workers: ImageWorkers) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        workers.submit("read").result()
    assert raised.value.filename == "/does/not/exist"
    assert workers.submit("ok").result() == b"ok"


def test_another_attempt_saves_an_image_whose_process_was_killed(tmp_path: Path) -> None:
    with ImageWorkers(crash_once, 1) as pool:
        assert pool.submit(str(tmp_path / "a")).result() == b"done"


def test_a_process_that_was_killed_while_idle_costs_no_image(
    workers: ImageWorkers, crashes: list[int]
) -> None:
    workers.submit("ok").result()
    os.kill(pid_of(workers), signal.SIGKILL)
    workers._idle[0]._process.wait()
    assert workers.submit("ok").result() == b"ok"
    assert crashes == []


def test_a_process_that_cannot_start_is_not_a_bad_image(
    workers: ImageWorkers, crashes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", refuse)
        with pytest.raises(Unavailable):
            workers.submit("ok").result()
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_job", "no_such_module:job")
        with pytest.raises(Unavailable):
            workers.submit("ok").result()
    assert workers.submit("ok").result() == b"ok"
    assert crashes == []


def test_closing_ends_the_processes(workers: ImageWorkers) -> None:
    workers.submit("ok").result()
    process = workers._idle[0]._process
    workers.close()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises((NotReady, RuntimeError)):
        workers.submit("ok").result()


def test_the_death_of_the_parent_ends_its_workers() -> None:
    code = (
        "import os, signal\n"
        "from test_workers import misbehave\n"
        "from tusou.images.workers import ImageWorkers\n"
        "pool = ImageWorkers(misbehave, 1)\n"
        "pool.submit('ok').result()\n"
        "print(pool._idle[0]._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.wait()
    ended = threading.Event()
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # without an init process, an orphan stays a zombie
            return
        ended.wait(0.01)
    pytest.fail("the worker outlives its parent")


def test_workers_ignore_the_signals_of_their_group_and_end_with_stdin() -> None:
    command = [sys.executable, "-P", "-m", "tusou.images.worker_process", "test_workers:decode"]
    command.append(str(2**30))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.read(len(READY)) == READY
        for sent in (None, signal.SIGTERM, signal.SIGINT):
            if sent:
                process.send_signal(sent)
            arguments = pickle.dumps((b"no", SIZE))
            process.stdin.write(REQUEST.pack(len(arguments)) + arguments)
            process.stdin.flush()
            status, length = REPLY.unpack(process.stdout.read(REPLY.size))
            assert status == BAD_IMAGE
            assert process.stdout.read(length) == b"not a readable image"
        process.stdin.close()
        assert process.wait() == 0


def test_workers_do_not_import_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIL", "tusou", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a folder of the user')")
    monkeypatch.chdir(tmp_path)
    with ImageWorkers(decode, 1) as pool:
        assert pool.submit(image_bytes(1), SIZE).result() == decode(image_bytes(1), SIZE)
