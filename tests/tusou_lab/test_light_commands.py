"""Commands about files run without torch, FAISS and OpenVINO, as `pip install tusou[lab]` may."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "faiss", "openvino")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which importing a heavy library fails, in worker processes too."""
    blocked = tmp_path_factory.mktemp("blocked")
    for name in HEAVY:
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is blocked')\n")
    path = os.pathsep.join([str(blocked), *filter(None, sys.path)])
    return os.environ | {"PYTHONPATH": path}


@pytest.fixture(scope="module")
def predictions(queries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("predictions") / "pred.jsonl"
    rows = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
    for row in rows:
        row["item_ids"] += range(10**6, 10**6 + 9)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(environment: dict[str, str], *words: object) -> dict[str, object]:
    command = [sys.executable, "-m", "tusou", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in {0, 1}, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_the_libraries_are_blocked(environment: dict[str, str]) -> None:
    for name in HEAVY:
        command = [sys.executable, "-c", f"import {name}"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert f"{name} is blocked" in done.stderr


def test_evaluate(environment: dict[str, str], predictions: Path, queries: Path) -> None:
    report = run(environment, "evaluate", predictions, "--answers", queries)
    assert report["percent"]["hit@1"] == 100.0


def test_compare(environment: dict[str, str], predictions: Path, queries: Path) -> None:
    report = run(environment, "compare", predictions, predictions, "--answers", queries)
    assert report["queries"] == 40


def test_check(environment: dict[str, str], pool: Path) -> None:
    report = run(environment, "check", pool, "--workers", 1)
    assert report["splits"]["all"]["images"]["usable"] == 300


def test_info(environment: dict[str, str], tiny_bundle: Path) -> None:
    assert run(environment, "info", tiny_bundle)["counts"]["embedded"] == 300


def test_split(environment: dict[str, str], pool: Path, tmp_path: Path) -> None:
    report = run(environment, "split", pool, "--out", tmp_path / "out", "--workers", 1)
    assert [part["items"] for part in report["splits"]] == [210, 60, 30]  # type: ignore[index,attr-defined]
