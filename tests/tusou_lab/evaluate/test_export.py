"""`tusou evaluate --save` writes runs that are read back with the same scores."""

import json
from pathlib import Path

import pytest
from tusou_lab.evaluate.cli import evaluate as command
from typer.testing import CliRunner, Result

from tusou.evaluation.runs import read_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def write(name: str, rows: list[dict[str, object]]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(
        "answers.jsonl",
        [
            {"query_id": 2, "query_text": "裙", "item_ids": [7, 9]},
            {"query_id": 1, "query_text": "鞋", "item_ids": []},
        ],
    )
    write("pred.jsonl", [{"query_id": 1, "item_ids": [5, 6]}, {"query_id": 2, "item_ids": [9, 8]}])
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    import typer

    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [word.replace("@", f"{folder}/") for word in words])


def test_every_format_scores_the_same(folder: Path) -> None:
    saved = ("--save", "@run.jsonl", "--save", "@run.trec", "--save", "@answers.qrels")
    first = run(folder, "@pred.jsonl", "--answers", "@answers.jsonl", "--top-k", "2", *saved)
    assert first.exit_code == 0, first.output
    assert (folder / "answers.qrels").read_text() == "2 0 7 1\n2 0 9 1\n"
    assert (folder / "run.trec").read_text().splitlines() == [
        "2 Q0 9 1 2.0 tusou",
        "2 Q0 8 2 1.0 tusou",
        "1 Q0 5 1 2.0 tusou",
        "1 Q0 6 2 1.0 tusou",
    ]
    assert read_run(folder / "run.jsonl").rankings == {2: (9, 8), 1: (5, 6)}
    for again in ("@run.jsonl", "@run.trec"):
        assert run(folder, again, "--answers", "@answers.jsonl").output == first.output
    # Judgments cannot hold the query without an answer: it is not in the mean.
    judged = run(folder, "@run.trec", "--answers", "@answers.qrels", "--json")
    assert json.loads(judged.output)["percent"]["recall@1"] == 50.0
    assert json.loads(judged.output)["queries"] == 1


def test_image_queries(folder: Path) -> None:
    (folder / "captions.jsonl").write_text('{"image_id": 4, "text_ids": [40, 41, 42]}\n')
    (folder / "texts.jsonl").write_text('{"image_id": 4, "text_ids": [9, 41]}\n')
    done = run(folder, "@texts.jsonl", "--answers", "@captions.jsonl", "--top-k", "2", "--json")
    report = json.loads(done.stdout)
    assert report["direction"] == "image_to_text"
    assert report["percent"]["recall@1"] == 0
    assert report["percent"]["mrr@1"] == 0
    (folder / "texts.jsonl").write_text('{"image_id": 4, "text_ids": [41, 9]}\n')
    done = run(folder, "@texts.jsonl", "--answers", "@captions.jsonl", "--top-k", "2", "--json")
    assert json.loads(done.stdout)["percent"]["hit@1"] == 100


def test_existing_files_are_replaced_only_with_force(folder: Path) -> None:
    words = ("@pred.jsonl", "--answers", "@answers.jsonl", "--top-k", "2", "--save", "@run.trec")
    (folder / "run.trec").write_text("precious")
    refused = run(folder, *words)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("output_exists: ")
    assert (folder / "run.trec").read_text() == "precious"
    assert run(folder, *words, "--force").exit_code == 0
    assert (folder / "run.trec").read_text() != "precious"


def test_an_unknown_format_is_refused_before_any_work(folder: Path) -> None:
    refused = run(folder, "@pred.jsonl", "--answers", "@answers.jsonl", "--save", "@run.txt")
    assert refused.stderr.startswith("invalid_request: --save ")


def test_drawn_judgments_are_scored_and_saved_with_their_probabilities(folder: Path) -> None:
    drawn = "1 5 1 srs 0.5\n1 6 0 srs 0.5\n1 99 1 srs 0.25\n2 9 2 srs 1.0\n"
    (folder / "drawn.prels").write_text(drawn)
    words = ("@pred.jsonl", "--answers", "@drawn.prels", "--top-k", "2", "--json")
    done = run(folder, *words, "--save", "@again.prels")
    assert done.exit_code == 0, done.output
    percent = json.loads(done.output)["percent"]
    # Found: 1/0.5 = 2 of 6 for query 1, 1 of 1 for query 2.
    assert percent["estimated_recall@1"] == pytest.approx(100 * 3 / 7)
    assert percent["estimated_precision@1"] == pytest.approx(150)
    assert percent["judged@1"] == 100
    saved = (folder / "again.prels").read_text()
    assert saved == drawn.replace(" srs ", " tusou ")
    refused = run(folder, *words, "--save", "@lost.qrels")
    assert refused.exit_code == 1
    assert "cannot hold the probabilities" in refused.output
    assert not (folder / "lost.qrels").exists()


def test_judgments_with_incorrect_items_show_how_much_was_judged(folder: Path) -> None:
    (folder / "graded.qrels").write_text("1 0 5 0\n1 0 7 2\n2 0 9 1\n")
    done = run(folder, "@pred.jsonl", "--answers", "@graded.qrels", "--top-k", "2", "--json")
    percent = json.loads(done.output)["percent"]
    assert (percent["judged@1"], percent["condensed_precision@1"]) == (100, 50)
    assert (percent["bpref"], percent["inf_ap"]) == (50, 50)
    plain = run(folder, "@pred.jsonl", "--answers", "@answers.jsonl", "--top-k", "2", "--json")
    assert "judged@1" not in json.loads(plain.output)["percent"]
