"""`tusou reproduce muge` on files in MUGE's form, with a checkpoint in cn_clip's form."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home where cn_clip's cache holds a small checkpoint under the name of ViT-B-16."""
    home = tmp_path_factory.mktemp("home")
    (home / ".cache" / "clip").mkdir(parents=True)
    shutil.copy(tiny_model, home / ".cache" / "clip" / "clip_cn_vit-b-16.pt")
    return home


@pytest.fixture(scope="module")
def data(pool: Path, queries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("muge") / "Multimodal_Retrieval"
    folder.mkdir()
    shutil.copy(pool, folder / "MR_valid_imgs.tsv")
    rows = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
    rows[3]["query_text"] = "不带拉链的包"
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "MR_valid_queries.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def run(home: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tusou", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=check, env={**os.environ, "HOME": str(home)}
    )


@pytest.fixture(scope="module")
def out(home: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "reproduction"
    words = ["reproduce", "muge", "--data", data.parent, "--model", "ViT-B-16", "--out", out]
    printed = run(home, *words).stdout
    assert "published, ViT-B-16 zero-shot (compared)  52.1" in printed
    assert "has 5,008 queries and 29,806 images, this one 40 and 300." in printed
    return out


def test_the_report_holds_the_published_row_beside_the_measured_one(
    out: Path, home: Path, data: Path
) -> None:
    report: dict[str, Any] = json.loads((out / "reproduction.json").read_text("utf-8"))
    words = [out / "bundle", "--answers", data / "MR_valid_queries.jsonl", "--json"]
    evaluated = json.loads(run(home, "evaluate", *words, "--no-interpret").stdout)
    names = ["hit@1", "hit@5", "hit@10", "mean_recall"]
    assert report["percent"] == {name: evaluated["percent"][name] for name in names}
    assert report["interval"] == {name: evaluated["interval"][name] for name in names}
    assert (report["verdict"], report["family"], report["index"]) == (
        "other_data",
        "ViT-B-16",
        "Flat",
    )
    zero_shot, fine_tuned = report["published"]
    assert list(zero_shot["percent"].values()) == [52.1, 76.7, 84.4, 71.1]
    assert list(fine_tuned["percent"].values()) == [58.4, 83.6, 90.0, 77.4]
    assert report["differences"]["mean_recall"] == pytest.approx(
        report["percent"]["mean_recall"] - 71.1, abs=0.01
    )
    page = (out / "reproduction.md").read_text("utf-8")
    assert "| published, ViT-B-16 fine-tuned | 58.4 | 83.6 | 90.0 | 77.4 |" in page
    rows = [json.loads(line) for line in (out / "valid_pred.jsonl").read_text().splitlines()]
    assert [len(row["item_ids"]) for row in rows] == [10] * 40


def test_a_second_run_encodes_nothing_again(out: Path, home: Path, data: Path) -> None:
    words = ["reproduce", "muge", "--data", data, "--model", "ViT-B-16", "--out", out]
    done = run(home, *words, "--fine-tuned", "--json")
    report = json.loads(done.stdout)
    assert "0 encoded and 300 taken from before" in done.stderr
    assert report["training"] == "fine-tuned"
    assert report["percent"] == json.loads((out / "reproduction.json").read_text())["percent"]


def test_a_ladder_has_a_line_for_every_rung(out: Path, home: Path, data: Path) -> None:
    words = ["reproduce", "muge", "--data", data, "--model", "ViT-B-16", "--out", out]
    train = data / "MR_train_queries.jsonl"
    rows = [{"query_id": n, "query_text": f"{n}号黑色皮鞋", "item_ids": []} for n in range(30)]
    train.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    printed = run(home, *words, "--ladder").stdout
    assert f"--try feedback,hub --out {out / 'ladder'}" in printed
    assert f"--query-bank {train}" in printed
    report = json.loads((out / "reproduction.json").read_text("utf-8"))
    ladder = json.loads((out / "ladder" / "ladder.json").read_text("utf-8"))
    rungs = [*ladder["alone"], *ladder["together"]]
    assert [line["name"] for line in report["ladder"]] == [rung["name"] for rung in rungs]
    assert {line["name"] for line in report["ladder"]} >= {"feedback", "hub"}
    assert report["ladder"][0]["verdict"] == rungs[0]["verdict"]
    assert "The ladder: gains of mean_recall on queries that chose nothing" in printed
    assert "## Ladder" in (out / "reproduction.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param("no-valid", "bad_dataset", id="data-without-valid"),
        pytest.param("foreign", "output_exists", id="folder-of-something-else"),
        pytest.param("inside", "invalid_request", id="data-inside-the-folder"),
    ],
)
def test_refuses(spoil: str, code: str, home: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if spoil == "no-valid":
        data = shutil.copytree(data, tmp_path / "data")
        for part in ("imgs.tsv", "queries.jsonl"):
            (data / f"MR_valid_{part}").rename(data / f"MR_train_{part}")
    elif spoil == "foreign":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    else:
        out = data.parent
    words = ["reproduce", "muge", "--data", data, "--model", "demo", "--out", out]
    done = run(home, *words, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1].split(":")[0]) == (1, code)
    assert data.exists()
