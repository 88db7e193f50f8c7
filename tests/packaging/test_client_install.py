"""The base install is the client: what it asks for, and that it works with nothing else there."""

import os
import re
import shutil
import subprocess
import venv
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_it_asks_for_three_small_packages() -> None:
    base = [need for need in requires("tusou") or [] if "extra ==" not in need]
    assert {re.split("[<>=]", need)[0] for need in base} == {"httpx", "rich", "typer"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_works_from_its_wheel_and_its_lock_alone(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".venv-uv/bin/uv")
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}

    def call(*words: str | Path) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=env, check=True, capture_output=True)
        return done.stdout.decode()

    locks = ROOT / "requirements"
    strict = ("--build-constraints", locks / "build.txt", "--require-build-hashes")
    call(uv, "build", "--wheel", *strict, "--out-dir", tmp_path, ROOT)
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    install = (uv, "pip", "install", "--python", python)
    call(*install, "--require-hashes", "-r", locks / "client.txt")
    call(*install, "--no-deps", *tmp_path.glob("*.whl"))
    tusou = tmp_path / "venv/bin/tusou"
    assert "--url" in call(tusou, "query", "--help")
    assert "--out" in call(tusou, "replay", "--help")
    assert (
        call(python, "-c", "import tusou_client; print(tusou_client.Client.__name__)") == "Client\n"
    )
    refused = subprocess.run([tusou, "serve", "."], check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "missing_dependency" in refused.stderr
    assert "Traceback" not in refused.stderr
