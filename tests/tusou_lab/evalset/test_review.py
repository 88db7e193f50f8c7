"""People's samples are stratified and blind, and their grades come back from every kind of file."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from tusou_lab.evalset.final_grades import final_grades
from tusou_lab.evalset.judgment import Judgment, PairToJudge
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import PooledPair
from tusou_lab.evalset.review_files import write_review
from tusou_lab.evalset.review_import import new_judgments, read_reviews
from tusou_lab.evalset.review_sample import sample_pairs

from tusou.core.errors import BadDataset, InvalidRequest

QUERIES = [
    PlannedQuery(
        number, f"第{number}款</script>", "款", "short" if number % 4 else "typo", "template"
    )
    for number in range(1, 21)
]
PAIRS = [
    PairToJudge(query, PooledPair(query.query_id, f"{number}.jpg", 1.0, {}))
    for query in QUERIES
    for number in range(10)
]
# Nearly everything has grade 0, as in a real pool.
GRADES = {
    (each.query.query_id, each.pair.item_id): 3 if each.pair.item_id == "0.jpg" else 0
    for each in PAIRS
}
SHOWN: list[dict[str, object]] = [
    {
        "query_id": each.query.query_id,
        "item_id": each.pair.item_id,
        "query": each.query.text,
        "guideline": "",
        "image": "data:image/jpeg;base64,AA==",
    }
    for each in PAIRS[:4]
]


def test_the_sample_has_as_many_of_each_style_and_grade_as_can_be() -> None:
    chosen = sample_pairs(PAIRS, GRADES, 40, 1)
    counts = Counter(
        (each.query.style, GRADES[each.query.query_id, each.pair.item_id]) for each in chosen
    )
    # Only five slips have grade 3.
    assert counts[("typo", 3)] == 5
    assert sorted(counts.values()) == [5, 11, 12, 12]
    assert [each.query.query_id for each in chosen] == sorted(
        each.query.query_id for each in chosen
    )
    assert sample_pairs(PAIRS, GRADES, 40, 1) == chosen
    assert sample_pairs(PAIRS, GRADES, 40, 2) != chosen
    assert len(sample_pairs(PAIRS, {}, 1000, 1)) == len(PAIRS)


def test_nothing_that_is_written_shows_a_grade(tmp_path: Path) -> None:
    for ending in (".html", ".json", ".csv"):
        write_review(tmp_path / f"r{ending}", SHOWN, "包</script><b>", "李雷")
    tasks = json.loads((tmp_path / "r.json").read_bytes())
    assert [task["data"]["item_id"] for task in tasks] == [f"{n}.jpg" for n in range(4)]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text("utf-8-sig"))))
    assert [row["grade"] for row in rows] == [""] * 4
    page = (tmp_path / "r.html").read_text()
    # The template's own three, and none from the data.
    assert page.count("</script>") == 3
    assert "http://" not in page
    assert "https://" not in page
    with pytest.raises(InvalidRequest, match="end the name with one of"):
        write_review(tmp_path / "r.pdf", SHOWN, "包", "李雷")


def pooled() -> list[PooledPair]:
    return [each.pair for each in PAIRS]


def test_grades_come_back_from_the_page_label_studio_and_a_table(tmp_path: Path) -> None:
    page = {
        "tusou_review": 1,
        "person": "李雷",
        "grades": [{"query_id": 1, "item_id": "0.jpg", "grade": 3}],
    }
    (tmp_path / "page.json").write_text(json.dumps(page))
    task = {
        "data": {"query_id": 1, "item_id": "1.jpg"},
        "annotations": [
            {
                "completed_by": {"email": "han@example.com"},
                "result": [{"value": {"choices": ["2"]}}],
            },
            {"completed_by": 7, "result": [{"value": {"rating": 1}}]},
            {"completed_by": 7, "was_cancelled": True, "result": [{"value": {"choices": ["0"]}}]},
        ],
    }
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    table = (
        "query_id,item_id,query,grade,person\n2,3.jpg,款,0,韩梅梅\n2,4.jpg,款,,\n2,5.jpg,款,1,\n"
    )
    (tmp_path / "table.csv").write_text(table, encoding="utf-8-sig")
    read = [
        (each.judge, each.query_id, each.item_id, each.grade)
        for name in ("page.json", "tasks.json", "table.csv")
        for each in read_reviews(tmp_path / name, pooled(), "王")
    ]
    assert read == [
        ("person:李雷", 1, "0.jpg", 3),
        ("person:han@example.com", 1, "1.jpg", 2),
        ("person:7", 1, "1.jpg", 1),
        ("person:韩梅梅", 2, "3.jpg", 0),
        ("person:王", 2, "5.jpg", 1),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{}", "neither by the review page nor by Label Studio"),
        ("a.json", "[{}]", "was not exported by Label Studio"),
        ("a.json", "grade", "neither JSON nor a table"),
        ("a.csv", "query,grade\n1,2\n", "has no column item_id"),
        ("a.csv", "query_id,item_id,grade\n1,0.jpg,4\n", "'4' is not a grade from 0 to 3"),
        ("a.csv", "query_id,item_id,grade\n99,0.jpg,3\n", "was not drawn"),
        ("a.csv", "query_id,item_id,grade\n1,0.jpg,3\n", "give --person"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadDataset, match=message):
        read_reviews(tmp_path / name, pooled(), None)


def test_a_file_that_is_taken_in_twice_adds_nothing_and_a_changed_grade_counts_last() -> None:
    first = [Judgment(1, "a.jpg", "person:李", 1), Judgment(1, "b.jpg", "person:李", 3)]
    known = new_judgments([], first)
    assert known == first
    assert new_judgments(known, first) == []
    changed = new_judgments(known, [Judgment(1, "a.jpg", "person:李", 3)])
    assert [(each.grade, each.repeat) for each in changed] == [(3, 1)]
    assert final_grades([*known, *changed], None) == {(1, "a.jpg"): 3, (1, "b.jpg"): 3}
