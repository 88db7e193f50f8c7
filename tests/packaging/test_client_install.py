"""The installed package: its dependencies, its top-level names, and the client on its own."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import requires
from pathlib import Path
from zipfile import ZipFile

import pytest

from tusou.cli.main import VERBS

ROOT = Path(__file__).parents[2]
PACKAGES = {"tusou", "tusou_client", "tusou_indexer", "tusou_lab", "tusou_service"}


def test_the_base_install_needs_three_small_packages() -> None:
    base = [need for need in requires("tusou") or [] if "extra ==" not in need]
    assert {re.split("[<>=]", need)[0] for need in base} == {"httpx", "rich", "typer"}


def test_the_wheel_is_configured_to_hold_our_packages_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    paths = [
        ROOT / path for path in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ]
    assert {path.name for path in paths} == PACKAGES
    assert all((path / "__init__.py").is_file() for path in paths)


def test_folders_named_as_ours_beside_a_script_break_nothing(tmp_path: Path) -> None:
    for name in ("clients", "indexer", "lab", "service", "benchmarks", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('the folder {name}')")
    (tmp_path / "script.py").write_text(
        "import tusou\n"
        "from tusou.cli.main import VERBS\n"
        "from tusou.core.lazy_import import LazyImport\n"
        "functions = [LazyImport(target).load() for target, _ in VERBS.values()]\n"
        "print(len(functions), tusou.Client.__name__, tusou.open_bundle.__name__)\n"
    )
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{len(VERBS)} Client open_bundle\n", "")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_client_works_from_its_wheel_and_its_lock_alone(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".venv-uv/bin/uv")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["UV_PYTHON_DOWNLOADS"] = "never"

    def call(*words: str | Path) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=env, check=True, capture_output=True)
        return done.stdout.decode()

    locks = ROOT / "requirements"
    strict = ("--build-constraints", locks / "build.txt", "--require-build-hashes")
    call(uv, "build", "--wheel", *strict, "--out-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = ZipFile(wheel).namelist()
    top_level = {name.partition("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == PACKAGES
    [metadata_name] = [name for name in names if name.endswith(".dist-info/METADATA")]
    metadata = ZipFile(wheel).read(metadata_name).decode()
    assert metadata.endswith((ROOT / "docs/package.md").read_text("utf-8"))
    assert "\nDescription-Content-Type: text/markdown\n" in metadata
    licences = metadata_name.replace("METADATA", "licenses/")
    assert {f"{licences}LICENSE", f"{licences}NOTICE"} <= set(names)
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    install = (uv, "pip", "install", "--python", python)
    call(*install, "--require-hashes", "-r", locks / "client.txt")
    call(*install, "--no-deps", wheel)
    tusou = tmp_path / "venv/bin/tusou"
    assert "--url" in call(tusou, "query", "--help")
    assert "--out" in call(tusou, "replay", "--help")
    assert call(python, "-c", "import tusou; print(tusou.Client.__name__)") == "Client\n"
    refused = subprocess.run(
        [tusou, "serve", "."], env=env, check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "missing_dependency" in refused.stderr
    assert "Traceback" not in refused.stderr
