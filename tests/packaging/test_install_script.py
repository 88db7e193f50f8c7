"""`requirements/install.sh`: the lock with hashes, PyTorch without CUDA, and the way back."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.packaging.test_locks import PINNED, requirements

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/dev.txt"
# Writes down its arguments and keeps the file that it is to install.
UV = """#!/bin/sh
echo "$@" >>"$CALLS"
for last in "$@"; do :; done
case "$*" in
    *--torch-backend*) exit "$TORCH_STATUS" ;;
    *sync*) cp "$last" "$CALLS.$(wc -l <"$CALLS" | tr -d ' ')" ;;
esac
"""


class Install:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "calls"
        uv = folder / "uv"
        uv.write_text(UV)
        uv.chmod(0o755)

    def run(self, *torch: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "CALLS": str(self.log), "TORCH_STATUS": str(status)}
        command = ["sh", ROOT / "requirements/install.sh", self.folder / "uv", "python", LOCK]
        return subprocess.run(
            [*command, *torch], env=env, capture_output=True, text=True, check=False
        )

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def install(tmp_path: Path) -> Install:
    return Install(tmp_path)


def names(lock: Path) -> set[str]:
    matches = [PINNED.fullmatch(line) for line in requirements(lock)]
    assert all(matches)
    return {match["name"] for match in matches if match}


@pytest.mark.parametrize("torch", [[], ["locked"]], ids=["default", "locked"])
def test_the_lock_is_installed_as_it_is_with_hashes(install: Install, torch: list[str]) -> None:
    assert install.run(*torch).returncode == 0
    assert install.calls() == [f"pip sync --quiet --python python --require-hashes {LOCK}"]


def test_without_cuda_all_but_pytorch_has_its_hash(install: Install) -> None:
    assert install.run("cpu").returncode == 0
    hashed, torch = install.calls()
    assert "pip sync" in hashed
    assert "--require-hashes" in hashed
    left_out = names(LOCK) - names(install.folder / "calls.1")
    assert left_out >= {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-toolkit"}
    prefixes = ("torch", "triton", "nvidia-", "cuda-")
    assert [name for name in left_out if not name.startswith(prefixes)] == []
    kept = names(install.folder / "calls.1")
    assert [name for name in kept if name.startswith(prefixes)] == []
    assert torch.endswith("--no-deps --torch-backend cpu torch==2.12.0 torchvision==0.27.0")


def test_cpu_fails_where_the_wheels_cannot_be_had(install: Install) -> None:
    assert install.run("cpu", status=2).returncode == 2
    assert len(install.calls()) == 2


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="has an NVIDIA driver")
def test_auto_falls_back_to_the_lock(install: Install) -> None:
    done = install.run("auto", status=2)
    assert done.returncode == 0
    assert "installing the locked ones" in done.stderr
    assert len(install.calls()) == 3
    assert install.calls()[2].endswith(f"--require-hashes {LOCK}")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="has an NVIDIA driver")
def test_auto_does_without_cuda_where_it_can(install: Install) -> None:
    assert install.run("auto").returncode == 0
    assert len(install.calls()) == 2


def test_another_word_is_refused(install: Install) -> None:
    done = install.run("gpu")
    assert (done.returncode, done.stderr) == (2, "TORCH is locked, cpu or auto, not gpu\n")
    assert install.calls() == []


@pytest.mark.parametrize(
    ("target", "torch"), [("demo", "auto"), ("serve", "auto"), ("test", ""), ("check", "")]
)
def test_make_asks_for_the_lock_except_for_a_demo(target: str, torch: str) -> None:
    # As if nothing were installed.
    command = ["make", "--dry-run", "--always-make", target, "UV=uv"]
    env = {name: value for name, value in os.environ.items() if name != "TORCH"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if "install.sh" in line]
    assert (
        line.rstrip()
        == f"sh requirements/install.sh uv .venv/bin/python requirements/dev.txt {torch}".rstrip()
    )
