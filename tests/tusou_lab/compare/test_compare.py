"""`tusou compare`: the verdict, the counts, and the changed queries."""

import json
import random
from pathlib import Path

import pytest
import typer
from tusou_lab.compare.cli import compare as command
from tusou_lab.compare.run import Comparison, compare
from typer.testing import CliRunner, Result

from tusou.core.errors import BadDataset, InvalidRequest

SIZE = 60
TEXTS = ["红色连衣裙", "不带碎花的连衣裙", "iPhone手机壳"]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [
        {"query_id": n, "query_text": TEXTS[n % 3], "item_ids": [7, 8][: 1 + n % 2]}
        for n in range(SIZE)
    ]
    return write(tmp_path / "answers.jsonl", rows)


def run(path: Path, ranks: list[int]) -> Path:
    """Write predictions that find item 7 of query n at ranks[n], 0: not at all."""
    rows = []
    for n, rank in enumerate(ranks):
        items = list(range(100, 110))
        if rank:
            items[rank - 1] = 7
        rows.append({"query_id": n, "item_ids": items})
    return write(path, rows)


def compared(folder: Path, answers: Path, a: list[int], b: list[int], **spec: object) -> Comparison:
    pair = run(folder / "a.jsonl", a), run(folder / "b.jsonl", b)
    return compare(*pair, answers, **spec)  # type: ignore[arg-type]


def test_a_significant_difference_has_a_winner(tmp_path: Path, answers: Path) -> None:
    a, b = [0] * 30 + [1] * 30, [1] * 20 + [0] * 10 + [1] * 28 + [2] * 2
    comparison = compared(tmp_path, answers, a, b)
    assert (comparison.better, comparison.metric, comparison.queries, comparison.top_k) == (
        "B",
        "mean_recall",
        60,
        10,
    )
    assert (comparison.wins, comparison.ties, comparison.losses) == (20, 38, 2)
    change = comparison.metrics["mean_recall"]
    assert (change.a, change.b) == pytest.approx((50, 100 * (48 + 2 * 2 / 3) / 60))
    low, high = change.interval
    assert change.difference == pytest.approx(change.b - change.a)
    assert 0 < low < change.difference < high
    assert change.p < 0.001
    assert comparison.verdict.startswith(
        "B is better than A: mean_recall 50.00 % and 82.22 % for A and B, a difference of "
        "+32.22 points (95 % interval +"
    )
    assert list(comparison.metrics) == [
        "mean_recall", "hit@1", "hit@10", "recall@10", "mrr@10", "ndcg@10",
    ]  # fmt: skip
    other = compared(tmp_path, answers, b, a)
    assert (other.better, other.wins, other.losses) == ("A", 2, 20)
    assert other.metrics["mean_recall"].p == change.p


def test_a_chance_difference_has_no_winner(tmp_path: Path, answers: Path) -> None:
    draw = random.Random(1)
    a, b = ([draw.choice([0, 1, 3, 8]) for _ in range(SIZE)] for _ in range(2))
    comparison = compared(tmp_path, answers, a, b)
    assert comparison.better is None
    assert comparison.verdict.startswith("A and B are not distinguishable: mean_recall ")
    same = compared(tmp_path, answers, a, a)
    assert (same.better, same.ties, same.changed) == (None, SIZE, ())
    assert {change.p_holm for change in same.metrics.values()} == {1.0}


def test_the_largest_changes_come_first(tmp_path: Path, answers: Path) -> None:
    a, b = [3] * SIZE, [3] * SIZE
    b[5], b[6], b[7], b[8] = 2, 1, 0, 9
    comparison = compared(tmp_path, answers, a, b, changed=3)
    assert [query.query_id for query in comparison.changed] == [7, 6, 8]
    lost = comparison.changed[0]
    assert (lost.text, lost.correct) == (TEXTS[7 % 3], (7, 8))
    assert (lost.a.first_correct, lost.b.first_correct) == (3, None)
    assert lost.a.item_ids == (100, 101, 7, 103, 104)
    assert (lost.a.value, lost.b.value) == pytest.approx((200 / 3, 0))
    everything = compared(tmp_path, answers, a, b, changed=100)
    assert [query.query_id for query in everything.changed] == [7, 6, 8, 5]


def test_slices_are_tested_and_corrected(tmp_path: Path, answers: Path) -> None:
    b = [1 if n % 3 == 1 else 0 for n in range(SIZE)]
    comparison = compared(tmp_path, answers, [0] * SIZE, b)
    by_label = {f"{part.by}/{part.label}": part for part in comparison.slices}
    negated = by_label["negation/refuses something"]
    assert (negated.queries, negated.change.a, negated.change.b) == (20, 0, 100)
    assert negated.change.distinguishable
    assert by_label["language/Chinese with Latin letters"].change.p_holm == 1
    assert all(part.change.p_holm >= part.change.p for part in comparison.slices)


def test_a_single_metric_is_not_corrected(tmp_path: Path, answers: Path) -> None:
    comparison = compared(tmp_path, answers, [1] * SIZE, [2] * SIZE, metrics=["mrr@10"])
    assert (comparison.metric, list(comparison.metrics)) == ("mrr@10", ["mrr@10"])
    assert comparison.metrics["mrr@10"].p == comparison.metrics["mrr@10"].p_holm
    assert "Holm" not in comparison.verdict
    with pytest.raises(InvalidRequest, match=r"unknown --metric mrr; choose from hit@1, "):
        compared(tmp_path, answers, [1] * SIZE, [2] * SIZE, metrics=["mrr"])


def test_formats_may_differ(tmp_path: Path, answers: Path) -> None:
    a = run(tmp_path / "a.jsonl", [1] * SIZE)
    lines = [f"{n} Q0 {7 if n else 9} 1 0.5 x\n{n} Q0 11 2 0.4 x\n" for n in range(SIZE)]
    (tmp_path / "b.trec").write_text("".join(lines))
    for pair in ((a, tmp_path / "b.trec"), (tmp_path / "b.trec", a)):
        comparison = compare(*pair, answers)
        assert (comparison.top_k, comparison.metric, comparison.ties) == (2, "hit@1", SIZE - 1)
        assert [query.query_id for query in comparison.changed] == ["0"]


def test_both_runs_must_match_the_judgments(tmp_path: Path, answers: Path) -> None:
    with pytest.raises(BadDataset, match=r"query 59 has no row in .*b.jsonl"):
        compared(tmp_path, answers, [1] * SIZE, [1] * (SIZE - 1))


def run_command(*words: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_prints_a_table_or_json(tmp_path: Path, answers: Path) -> None:
    a, b = run(tmp_path / "a.jsonl", [0] * SIZE), run(tmp_path / "b.jsonl", [2] * SIZE)
    words = (a, b, "--answers", answers, "--metric", "hit@5", "--changed", 2)
    shown = run_command(*words, "--slices").stdout.splitlines()
    assert shown[0].startswith("B is better than A: hit@5 0.00 % and 100.00 % for A and B, ")
    assert (
        shown[3] == "hit@5             0.00  100.00  +100.00   +100.00 .. +100.00  0.0001  0.0001"
    )
    assert shown[5] == "60 queries by hit@5: B better 60, equal 0, A better 0"
    assert "hit@5 by negation, with the number of queries" in shown
    assert shown[-2:] == ["     -     2   0  红色连衣裙", "     -     2   1  不带碎花的连衣裙"]
    document = json.loads(run_command(*words, "--json").stdout)
    assert document["better"] == "B"
    assert document["changed"][0]["b"]["item_ids"] == [100, 7, 102, 103, 104]
    assert document["a"] is None
