"""`tusou evaluate` agrees with the official scorer and reports every problem."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from official import official_score
from tusou_lab.evaluate.cli import evaluate as command
from tusou_lab.evaluate.scoring import Evaluation
from tusou_lab.evaluate.scoring import evaluate as score
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from typer.testing import CliRunner, Result

from tusou.core.errors import BadDataset
from tusou.evaluation.judgments import judge_run, read_judgments
from tusou.evaluation.metrics import means, per_query
from tusou.evaluation.runs import read_run

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
known_answers = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no real data beside the checkout ({DATA})"
)

Write = Callable[[str, list[object]], Path]


def evaluate(
    source: Path, answers: Path, pool: Path | None = None, top_k: int | None = None
) -> Evaluation:
    return score(source, answers, BundleSearchSpec(top_k, pool=pool)).evaluation


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, rows: list[object]) -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    return write


def answer(query_id: object, *correct: object) -> dict[str, object]:
    return {"query_id": query_id, "query_text": "裙", "item_ids": correct}


def row(query_id: object, *items: object) -> dict[str, object]:
    return {"query_id": query_id, "item_ids": items}


@pytest.fixture(scope="module")
def official() -> dict:
    return json.loads((DATA / "known_answers" / "muge_notebook.json").read_bytes())


@known_answers
def test_two_queries_of_the_official_run_score_as_published(official: dict, write: Write) -> None:
    predicted = {
        prediction["text_id"]: prediction
        for prediction in official["top10_predictions_first5"]["valid"]
    }
    truth = official["ground_truth"]
    run = write("pred.jsonl", [predicted[query["query_id"]] for query in truth])
    result = evaluate(run, write("answers.jsonl", truth))
    # 248816 finds five of six at ranks 1 to 5; 248931 three of six at ranks 3, 4 and 7.
    percent = result.percent
    assert (percent["hit@1"], percent["hit@5"], percent["hit@10"]) == (50.0, 100.0, 100.0)
    assert percent["mean_recall"] == pytest.approx(250 / 3)
    assert percent["recall@10"] == pytest.approx(100 * (5 / 6 + 3 / 6) / 2)
    assert percent["precision@10"] == pytest.approx(100 * (5 / 10 + 3 / 10) / 2)
    assert percent["mrr@10"] == pytest.approx(100 * (1 + 1 / 3) / 2)


@known_answers
def test_the_published_hit_counts_give_the_published_digits(official: dict, write: Write) -> None:
    """5,008 queries with the run's numbers of hits at 1, 5 and 10: equal to the last digit."""
    counts, size = official["derived_check"], official["valid"]["queries"]
    ranks = [1] * counts["r1_hits"]
    ranks += [3] * (counts["r5_hits"] - counts["r1_hits"])
    ranks += [9] * (counts["r10_hits"] - counts["r5_hits"])
    ranks += [0] * (size - len(ranks))
    answers = write("answers.jsonl", [answer(n, 7) for n in range(size)])
    rows = [row(n, *(7 if position == rank else -position for position in range(1, 11)))
            for n, rank in enumerate(ranks)]  # fmt: skip
    percent = evaluate(write("pred.jsonl", rows), answers).percent
    published = official["evaluator_output"]["scoreJson"]
    assert {
        "r1": percent["hit@1"],
        "r5": percent["hit@5"],
        "r10": percent["hit@10"],
        "mean_recall": percent["mean_recall"],
        "score": percent["mean_recall"],
    } == published


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_every_digit_agrees_with_the_official_scorer(write: Write, first: int) -> None:
    """Random predictions under 200 seeds, written to files and read again by both."""
    for seed in range(first, first + 50):
        draw = random.Random(seed)
        size = draw.randint(1, 60)
        answers = [answer(n, *draw.sample(range(40), draw.randint(0, 8))) for n in range(size)]
        predictions = [row(n, *draw.sample(range(40), 10)) for n in range(size)]
        draw.shuffle(predictions)
        judged = read_judgments(write("answers.jsonl", answers))
        percent = means(
            per_query(judge_run(read_run(write("pred.jsonl", predictions), 10), judged))
        )
        golden = write("golden.jsonl", [renamed(query) for query in answers])
        official = official_score(
            golden, write("submitted.jsonl", [renamed(query) for query in predictions])
        )
        names = ("mean_recall", "hit@1", "hit@5", "hit@10")
        assert [100 * percent[name] for name in names] == official, seed


def renamed(query: dict[str, object]) -> dict[str, object]:
    return {"text_id": query["query_id"], "image_ids": query["item_ids"]}


@known_answers
def test_a_pool_of_real_images_gives_the_ids(write: Write) -> None:
    sample = DATA / "muge_sample"
    pool, queries = sample / "MR_valid_imgs.tsv", sample / "MR_valid_queries.jsonl"
    ids = [int(line.split("\t", 1)[0]) for line in pool.read_text().splitlines()]
    first, second = (json.loads(line)["query_id"] for line in queries.read_text().splitlines())
    run = write("pred.jsonl", [row(first, *ids), row(second, *ids[:-1], 99)])
    with pytest.raises(BadDataset, match=r"pred.jsonl:2: query \d+: not in the pool: 99$"):
        evaluate(run, queries, pool, len(ids))
    run = write("pred.jsonl", [row(first, *ids), row(second, *reversed(ids))])
    restricted = sample / "MR_valid_queries_restricted.jsonl"
    result = evaluate(run, restricted, pool, len(ids))
    assert (result.queries, result.answers_outside_pool) == (2, 0)
    full = evaluate(run, queries, pool, len(ids))
    assert full.answers_outside_pool == 7


def test_a_query_without_an_answer_scores_zero_and_counts(write: Write) -> None:
    answers = write("answers.jsonl", [answer(1, 7), answer(2)])
    result = evaluate(write("pred.jsonl", [row(2, 7), row(1, 7)]), answers, top_k=1)
    assert (result.queries, result.without_answer, result.answers_outside_pool) == (2, 1, None)
    assert result.percent["hit@1"] == 50.0


def test_every_problem_is_named_with_file_and_line(write: Write, tmp_path: Path) -> None:
    answers = write("answers.jsonl", [answer(n, 100 + n) for n in range(1, 9)])
    run = write(
        "pred.jsonl",
        [
            row(1, 101, 5),
            row(2, 5, 5),
            row(3, 5, 6, 7),
            row(4, 5, "6"),
            {"query_id": 5, "item_ids": [5, True]},
            row(77, 5, 6),
            row(1, 5, 6),
            "",
            "{",
            row("6", 5, 6),
            row(7, 5, 999),
        ],
    )
    pool = write("imgs.tsv", [f"{n}\t/9j/" for n in [*range(1, 50), *range(100, 109)]])
    with pytest.raises(BadDataset) as raised:
        evaluate(run, answers, pool, top_k=2)
    first, *problems = str(raised.value).replace(f"{tmp_path}/", "").split("\n  ")
    assert first == "nothing was scored; problems: 12"
    assert problems == [
        "pred.jsonl:2: query 2: repeats 5",
        "pred.jsonl:3: query 3: 3 items instead of 2",
        "pred.jsonl:5: query 5: true is neither an integer nor a string",
        "pred.jsonl:7: query 1 again, first on line 1",
        "pred.jsonl:8: blank line",
        (
            "pred.jsonl:9: not a JSON object (Expecting property name enclosed in "
            "double quotes, column 2)"
        ),
        "answers.jsonl:6: query 6 has no row in pred.jsonl",
        "answers.jsonl:8: query 8 has no row in pred.jsonl",
        "pred.jsonl:6: query 77 is not in answers.jsonl",
        'pred.jsonl:10: query "6" is not in answers.jsonl',
        "pred.jsonl:4: query 4: ids must be integers, as in the answers and the pool",
        "pred.jsonl:11: query 7: not in the pool: 999",
    ]


def test_queries_without_item_ids_are_refused(write: Write) -> None:
    answers = write("answers.jsonl", [answer(1, 7), {"query_id": 2, "query_text": "鞋"}])
    with pytest.raises(BadDataset, match=r"answers.jsonl:2: query 2 has no item_ids"):
        evaluate(write("pred.jsonl", [row(1, 7), row(2, 7)]), answers, top_k=1)


def test_problems_of_both_files_are_listed_together(write: Write) -> None:
    answers = write("answers.jsonl", ["{"])
    with pytest.raises(BadDataset) as raised:
        evaluate(write("pred.jsonl", [""]), answers, top_k=1)
    assert "pred.jsonl:1: blank line" in str(raised.value)
    assert "answers.jsonl: 1 unusable lines\n  line 1: not a JSON object" in str(raised.value)


@pytest.mark.parametrize(
    ("correct", "predicted"), [pytest.param(7, "7", id="text"), pytest.param("7", 7, id="integer")]
)
def test_ids_must_be_of_the_answers_type(write: Write, correct: object, predicted: object) -> None:
    answers = write("answers.jsonl", [answer(1, correct)])
    with pytest.raises(BadDataset, match=r"pred.jsonl:1: query 1: "):
        evaluate(write("pred.jsonl", [row(1, predicted)]), answers, top_k=1)


def test_text_ids(write: Write) -> None:
    answers = write("answers.jsonl", [answer(1, "图.jpg")])
    pool = write("imgs.tsv", ["图.jpg\t/9j/", "2.jpg\t/9j/"])
    run = write("pred.jsonl", [row(1, "2.jpg", "图.jpg")])
    assert evaluate(run, answers, pool, top_k=2).percent["mrr@1"] == 0.0


def run_command(*words: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_table(write: Write) -> None:
    answers = write("answers.jsonl", [answer(1, 7), answer(2, 8), answer(3, 9)])
    predictions = [row(1, *range(7, 17)), row(2, *range(7, 17)), row(3, *range(20, 30))]
    result = run_command(write("pred.jsonl", predictions), "--answers", answers)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:4] == [
        "hit@1           33.33 %     0.00 .. 100.00",
        "hit@5           66.67 %     0.00 .. 100.00",
        "hit@10          66.67 %     0.00 .. 100.00",
        "mean_recall     55.56 %     0.00 ..  88.89",
    ]
    assert result.stdout.splitlines()[-1] == "3 queries, 0 without a correct item"


def test_the_report_as_json(write: Write) -> None:
    answers = write("answers.jsonl", [answer(1, 7)])
    options = ("--answers", answers, "--top-k", 1, "--json")
    assert json.loads(run_command(write("pred.jsonl", [row(1, 7)]), *options).stdout) == {
        "queries": 1,
        "without_answer": 0,
        "correct_items": 1,
        "answers_outside_pool": None,
        "top_k": 1,
        "percent": {
            "hit@1": 100.0,
            "recall@1": 100.0,
            "precision@1": 100.0,
            "mrr@1": 100.0,
            "map@1": 100.0,
            "ndcg@1": 100.0,
        },
        "interval": {
            name: [100.0, 100.0]
            for name in ("hit@1", "recall@1", "precision@1", "mrr@1", "map@1", "ndcg@1")
        },
        "direction": "text_to_image",
        "index_recall": None,
        "run": None,
        "slices": [],
    }


def test_a_problem_exits_with_1_and_prints_no_score(write: Write) -> None:
    answers = write("answers.jsonl", [answer(1, 7)])
    result = run_command(write("pred.jsonl", []), "--answers", answers)
    assert (result.exit_code, result.stdout) == (1, "")
    heading, *problems = result.stderr.splitlines()
    assert heading == "bad_dataset: nothing was scored; problems: 2"
    assert problems[0].endswith("pred.jsonl:1: the file is empty; copy or download it again")
    assert "query 1 has no row in" in problems[1]


def test_scores_by_slice(write: Write) -> None:
    texts = ["裙", "不带碎花的裙子"]
    answers = [answer(n, 7) | {"query_text": text} for n, text in enumerate(texts)]
    predictions = [row(0, *range(7, 17)), row(1, *range(20, 30))]
    words = (write("pred.jsonl", predictions), "--answers", write("answers.jsonl", answers))
    shown = run_command(*words, "--slices").stdout
    assert shown.endswith(
        """
mean_recall by length, with the number of queries
 100.00 %   100.00 .. 100.00       1   1-4
   0.00 %     0.00 ..   0.00       1   5-8

mean_recall by negation, with the number of queries
 100.00 %   100.00 .. 100.00       1   refuses nothing
   0.00 %     0.00 ..   0.00       1   refuses something
"""
    )
    listed = json.loads(run_command(*words, "--json").stdout)["slices"]
    assert [(part["by"], part["label"], part["queries"]) for part in listed] == [
        ("length", "1-4", 1),
        ("length", "5-8", 1),
        ("negation", "refuses nothing", 1),
        ("negation", "refuses something", 1),
    ]
    assert [part["percent"]["hit@1"] for part in listed] == [100, 0, 100, 0]
