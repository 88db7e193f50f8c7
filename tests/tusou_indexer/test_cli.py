"""`tusou index` as a process: SIGKILL, locks, errors, a full disk and renamed options."""

import fcntl
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest
from drawing import image_line

pytestmark = pytest.mark.services

ROWS = 2500  # more than one shard


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "imgs.tsv"
    lines = [image_line(n, n, side=8) for n in range(ROWS)]
    path.write_bytes(b"".join(lines) + b"no image\tAAAA\n")
    return path


def command(images: Path, out: Path, model: Path) -> list[str]:
    arguments = ["index", str(images), "--out", str(out), "--model", str(model), "--json"]
    return [sys.executable, "-m", "tusou", *arguments]


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_after_sigkill_finished_shards_are_reused_and_the_bytes_are_the_same(
    images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(command(images, whole, tiny_model), capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert {name: report[name] for name in ("items", "embedded", "failed", "encoded")} == {
        "items": ROWS + 1,
        "embedded": ROWS,
        "failed": 1,
        "encoded": ROWS,
    }
    null = subprocess.DEVNULL
    build = subprocess.Popen(command(images, killed, tiny_model), stdout=null, stderr=null)
    record, deadline = killed / ".build" / "shards" / "000000.json", monotonic() + 60
    while not record.exists() and monotonic() < deadline:
        sleep(0.01)
    build.kill()
    build.wait()
    assert not (killed / "CURRENT").exists()
    resumed = subprocess.run(command(images, killed, tiny_model), capture_output=True, check=True)
    assert json.loads(resumed.stdout)["encoded"] == ROWS - 2048
    assert files(killed) == files(whole)


def test_a_second_indexer_exits_75(images: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with (tmp_path / "b" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = command(images, tmp_path / "b", tiny_model)
        done = subprocess.run(second, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith("locked: another `tusou index`")


def test_a_wrong_model_is_named(images: Path, tmp_path: Path) -> None:
    wrong = command(images, tmp_path / "b", Path("ViT-B-61"))
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("invalid_request: ")
    assert "ViT-B-16" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_publishes_nothing_and_the_next_run_resumes(
    images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    # No file may grow over 256 KiB: the plan fits, the first shard's vectors do not.
    index = shlex.join(command(images, tmp_path / "b", tiny_model))
    limited = ["bash", "-c", f"ulimit -f 256; exec {index}"]
    # A file of measured coverage would be larger than that, too.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(limited, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("io_error: ")
    assert not (tmp_path / "b" / "CURRENT").exists()
    again = subprocess.run(
        command(images, tmp_path / "b", tiny_model), capture_output=True, check=True
    )
    assert json.loads(again.stdout)["embedded"] == ROWS


def test_the_old_name_of_an_option_is_refused_with_the_new_one(
    images: Path, tiny_model: Path, tmp_path: Path
) -> None:
    old = [*command(images, tmp_path / "b", tiny_model), "--factory", "Flat"]
    done = subprocess.run(old, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'--factory': the option is now --index." in done.stderr
    assert not (tmp_path / "b").exists()
