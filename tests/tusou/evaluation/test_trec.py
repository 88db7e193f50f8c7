"""TREC's files are read as by `trec_eval`, and every problem has its line."""

from pathlib import Path

import pytest

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.evaluation import trec
from tusou.evaluation.judgments import read_judgments
from tusou.evaluation.runs import read_run


def test_a_run_is_ordered_by_score_then_rank(tmp_path: Path) -> None:
    (tmp_path / "run").write_text(
        "7 Q0 a 1 0.5 x\n7 Q0 b 2 0.9 x\n8 q0 a 1 1 x\n7 Q0 c 3 0.5 x\r\n", encoding="utf-8-sig"
    )
    run = read_run(tmp_path / "run")
    assert run.rankings == {"7": ("b", "a", "c"), "8": ("a",)}
    assert run.scores == {"7": (0.9, 0.5, 0.5), "8": (1.0,)}
    assert (run.problems, run.string_ids, run.depth) == ((), True, 3)


def test_every_problem_of_a_run_has_its_line(tmp_path: Path) -> None:
    lines = [
        b"7 Q0 a 1 0.5 x",
        b"7 Q0 b 1 0.5",
        b"",
        b"7 Q0 c first 0.5 x",
        b"7 Q0 d 1 nan x",
        b"8 Q0 \xff 1 1 x",
        b"8 Q0 a 1 1 x",
        b"8 Q0 a 2 1 x",
    ]
    (tmp_path / "run").write_bytes(b"\n".join(lines))
    assert read_run(tmp_path / "run").problems == (
        (2, "expected `topic Q0 item rank score tag`"),
        (3, "blank line"),
        (4, "rank must be a whole number and score a number"),
        (5, "score must be a finite number"),
        (6, "not UTF-8"),
        (7, 'query "8": repeats "a"'),
    )


def test_qrels(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("7 0 a 2\n8 0 b 0\n7 0 c -1\n")
    judgments = read_judgments(tmp_path / "qrels")
    assert [(row.query_id, row.grades) for row in judgments.rows] == [
        ("7", {"a": 2, "c": -1}),
        ("8", {"b": 0}),
    ]
    assert judgments.correct == {"a"}


def test_every_problem_of_qrels_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text("7 0 a 2\n7 0 a 1\n7 0 b\n7 0 b high\n")
    with pytest.raises(BadDataset) as raised:
        read_judgments(path)
    assert str(raised.value).replace(str(path), "qrels").split("\n  ") == [
        "unusable lines: 3",
        "qrels:2: item a of topic 7 is judged twice",
        "qrels:3: expected `topic 0 item grade`",
        "qrels:4: grade must be a whole number",
    ]


def test_written_files_are_read_back(tmp_path: Path) -> None:
    rankings = {7: (3, 1, 2), "八": ("图.jpg", "b")}
    (tmp_path / "run").write_text(trec.format_run(rankings, {7: (0.9, 0.9, 0.1)}, "tag"))
    run = read_run(tmp_path / "run")
    assert run.rankings == {"7": ("3", "1", "2"), "八": ("图.jpg", "b")}
    assert run.scores == {"7": (0.9, 0.9, 0.1), "八": (2.0, 1.0)}
    (tmp_path / "qrels").write_text(trec.format_qrels({7: {3: 2, 4: 1}, 8: {}}))
    assert [row.grades for row in read_judgments(tmp_path / "qrels").rows] == [{"3": 2, "4": 1}]


def test_an_id_with_a_blank_cannot_be_written() -> None:
    with pytest.raises(InvalidRequest, match=r"'a b\.jpg' has blanks"):
        trec.format_qrels({1: {"a b.jpg": 1}})


def test_prels_have_the_probability_of_each_item(tmp_path: Path) -> None:
    (tmp_path / "prels").write_text("包 a.jpg 2 srs 0.25\n包 b.jpg 0 srs 1\n7 a.jpg -1 srs 1e-3\n")
    rows = read_judgments(tmp_path / "prels").rows
    assert [(row.query_id, row.grades, row.probabilities) for row in rows] == [
        ("包", {"a.jpg": 2, "b.jpg": 0}, {"a.jpg": 0.25, "b.jpg": 1.0}),
        ("7", {"a.jpg": -1}, {"a.jpg": 0.001}),
    ]


def test_every_problem_of_prels_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prels"
    path.write_text("7 a 2 srs 0.5\n7 a 1 srs 0.5\n7 b 1 srs 0\n7 b 1 srs nan\n7 b 1 srs\n")
    with pytest.raises(BadDataset) as raised:
        read_judgments(path)
    assert str(raised.value).replace(str(path), "prels").split("\n  ") == [
        "unusable lines: 4",
        "prels:2: item a of topic 7 is judged twice",
        "prels:3: the probability must be above 0 and at most 1",
        "prels:4: the probability must be above 0 and at most 1",
        "prels:5: expected `topic item grade method probability`",
    ]
