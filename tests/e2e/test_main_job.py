"""The main job end to end: processes, files and HTTP, from drawing to scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# A service on this machine is reached directly, whatever the variables for proxies hold.
PROXIES = {
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "NO_PROXY": "[::1",
}


def tusou(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tusou", *words]
    environment = os.environ | PROXIES
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    done = tusou("demo", "--dir", str(folder), "--items", "400", "--queries", "40", "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return folder, report


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.timeout(180)
def test_the_demo_model_finds_most_items(demo: tuple[Path, dict[str, object]]) -> None:
    _, report = demo
    metrics = report["metrics"]
    assert isinstance(metrics, dict)
    assert (report["items"], report["queries"]) == (400, 40)
    assert metrics["mean_recall"] >= 85
    assert metrics["mean_recall"] == pytest.approx(
        (metrics["hit@1"] + metrics["hit@5"] + metrics["hit@10"]) / 3
    )


def test_the_submission_keeps_every_row_and_has_ten_ids(
    demo: tuple[Path, dict[str, object]],
) -> None:
    folder, _ = demo
    queries = rows(folder / "data" / "MR_test_queries.jsonl")
    filled = rows(folder / "test_pred.jsonl")
    assert [row["query_id"] for row in filled] == [row["query_id"] for row in queries]
    assert [row["query_text"] for row in filled] == [row["query_text"] for row in queries]
    for row in filled:
        ids = row["item_ids"]
        assert isinstance(ids, list)
        assert len(set(ids)) == 10
        assert all(type(item_id) is int for item_id in ids)


def test_evaluating_the_bundle_measures_what_the_service_returns(
    demo: tuple[Path, dict[str, object]],
) -> None:
    folder, report = demo
    queries, run = folder / "data" / "MR_test_queries.jsonl", folder / "run.jsonl"
    done = tusou(
        "evaluate", str(folder / "bundle"), "--answers", str(queries), "--save", str(run), "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["percent"] == report["metrics"]
    ranked = [row["item_ids"] for row in rows(run)[1:]]
    assert ranked == [row["item_ids"] for row in rows(folder / "test_pred.jsonl")]


def test_indexing_again_has_nothing_to_do(demo: tuple[Path, dict[str, object]]) -> None:
    folder, _ = demo
    images = str(folder / "data" / "MR_test_imgs.tsv")
    done = tusou("index", images, "--out", str(folder / "bundle"), "--model", "demo", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["encoded"] == 0


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = tusou("demo", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("output_exists: ")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
