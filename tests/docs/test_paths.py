"""Files, modules and metrics of the repository that the pages name exist."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("**/*.md")), *sorted(ROOT.glob("*.md"))]
PAGES.append(ROOT / "tusou/demo/README.md")
FOLDERS = "benchmarks|clients|deploy|docs|indexer|lab|service|tests|tusou"
OF_CN_CLIP = {"evaluation.py"}


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Return the paths of all tracked files."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True)
    return set(listed.stdout.decode().split("\n"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_it_names_exist(page: Path, files: set[str]) -> None:
    text = page.read_text("utf-8")
    modules = set(re.findall(r"`([\w./-]+\.py)`", text)) - OF_CN_CLIP
    ends = {
        "/".join(path.split("/")[start:]) for path in files for start in range(path.count("/") + 1)
    }
    assert sorted(modules - ends) == []
    paths = re.findall(rf"`((?:{FOLDERS})/[\w/.-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_benchmarks_it_names_exist(page: Path) -> None:
    names = re.findall(r"python -m benchmarks\.([\w.]*\w)", page.read_text("utf-8"))
    modules = [ROOT / "benchmarks" / name.replace(".", "/") for name in names]
    missing = [
        module
        for module in modules
        if not (module.with_suffix(".py").exists() or (module / "__main__.py").exists())
    ]
    assert missing == []
