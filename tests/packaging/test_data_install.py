"""The extra `data`: check, convert, evaluate, compare and info run without PyTorch and FAISS."""

import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "tusou" / "demo" / "tusou-demo.pt"
# Packages of the other extras: an import of one fails as if it were not installed.
ABSENT = "cn_clip cv2 faiss fastapi fontTools jinja2 matplotlib openvino torch torchvision uvicorn"
RUN = f"""
import importlib.util, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}.split():
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: (
    None if name in {ABSENT!r}.split() else find_spec(name, *rest)
)
sys.argv[0] = "tusou"
from tusou.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a small split, and predictions for its queries."""
    folder = tmp_path_factory.mktemp("data")
    size = ["--items", "12", "--queries", "4", "--splits", "test"]
    subprocess.run([sys.executable, "-m", "tusou", "toy", folder, *size, "-q"], check=True)
    images = (folder / "MR_test_imgs.tsv").read_text().splitlines()
    ids = [int(line.partition("\t")[0]) for line in images]
    rows = map(json.loads, (folder / "MR_test_queries.jsonl").read_text("utf-8").splitlines())
    lines = [json.dumps(row | {"item_ids": ids[:10]}, ensure_ascii=False) for row in rows]
    (folder / "pred.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        "evaluate pred.jsonl --answers MR_test_queries.jsonl",
        "compare pred.jsonl pred.jsonl --answers MR_test_queries.jsonl",
        "check .#test",
        "convert . converted --to cnclip --force",
        f"info {DEMO}",
    ],
)
def test_a_light_verb_runs_without_the_other_extras(folder: Path, words: str) -> None:
    command = [sys.executable, "-c", RUN, *words.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if words.startswith("check"):
        assert "cn_clip is not installed" in done.stdout


def test_another_verb_names_its_extra(folder: Path) -> None:
    command = [sys.executable, "-c", RUN, "index", "MR_test_imgs.tsv", "--model", "demo"]
    done = subprocess.run(
        [*command, "--out", "bundle"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "install tusou[cpu]" in done.stderr


def test_a_page_names_the_extra_that_draws_it(folder: Path) -> None:
    command = [sys.executable, "-c", RUN, "check", ".#test", "--html"]
    done = subprocess.run(
        [*command, "page.html"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "install tusou[lab]" in done.stderr


def test_the_blocked_packages_are_installed_here() -> None:
    """Otherwise blocking them would show nothing."""
    assert [name for name in ABSENT.split() if find_spec(name) is None] in ([], ["cv2"])


def test_the_extra_needs_none_of_the_heavy_packages() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = " ".join(extras["optional-dependencies"]["data"])
    assert not [name for name in ("torch", "faiss", "cn-clip", "fastapi") if name in needs]
