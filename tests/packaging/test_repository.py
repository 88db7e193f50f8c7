"""Licence, make targets, CI script, and no package index host in any file."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Split, so that this file does not contain what it forbids.
HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "download.py" + "torch.org",
    "deb." + "debian.org",
]


def test_the_licence_is_the_whole_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_make_has_the_documented_targets() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    documented = ["help", "demo", "serve", "test", "test-lab", "test-services", "coverage"]
    documented += ["test-browser", "test-milvus", "test-ray", "test-llm", "test-models", "bench"]
    documented += ["bench-gate", "bench-gpu", "check", "audit", "sbom", "lock", "clean"]
    assert targets == documented


def test_ci_runs_the_check_and_all_tests() -> None:
    script = (ROOT / ".ci/run").read_text().splitlines()
    commands = [line.strip() for line in script if line.strip().startswith("make ")]
    suites = ["make test", "make test-lab", "make test-services", "make bench-gate"]
    suites += ["make test-milvus", "make test-ray", "make test-llm", "make test-models"]
    suites += ["make test-browser"]
    assert commands == ["make check", *suites]
    assert "set -eu" in script


def test_no_file_names_an_index_host() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    violations = [
        f"{path}: {host}"
        for path in listed.stdout.decode().split("\0")
        if path and (ROOT / path).is_file()
        for host in HOSTS
        if host.encode() in (ROOT / path).read_bytes()
    ]
    assert violations == []


def test_benchmarks_import_no_tests() -> None:
    imports = re.compile(r"^\s*(?:from|import) (?:tests|conftest)\b", re.MULTILINE)
    modules = sorted((ROOT / "benchmarks").rglob("*.py"))
    assert modules
    assert [path.name for path in modules if imports.search(path.read_text())] == []
