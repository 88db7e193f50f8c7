"""Slices of queries: every query with a label is in exactly one slice of each property."""

from pathlib import Path

from tusou.evaluation.judgments import JudgedQuery, Judgments, read_judgments
from tusou.evaluation.slices import slice_queries

TEXTS = [" 裙子 ", "红色连衣裙", "不带碎花的连衣裙", "iPhone手机壳", "dress", "3", "纯棉" * 11]


def test_slices_by_every_property(tmp_path: Path) -> None:
    rows = tuple(
        JudgedQuery(n + 1, n, text, {7: 1, 8: 1, 9: 0} if n else {}, "女装" if n % 2 else "鞋")
        for n, text in enumerate(TEXTS)
    )
    slices: dict[str, dict[str, list[int]]] = {}
    for part in slice_queries(Judgments(tmp_path, rows)):
        slices.setdefault(part.by, {})[part.label] = part.positions.tolist()
    assert slices == {
        "length": {"1-4": [0, 5], "5-8": [1, 2, 4], "9-12": [3], "21+": [6]},
        "positives": {"0": [0], "2-5": [1, 2, 3, 4, 5, 6]},
        "category": {"鞋": [0, 2, 4, 6], "女装": [1, 3, 5]},
        "language": {
            "Chinese": [0, 1, 2, 6],
            "Chinese with Latin letters": [3],
            "Latin letters": [4],
            "neither": [5],
        },
        "negation": {"refuses nothing": [0, 1, 3, 4, 5, 6], "refuses something": [2]},
    }
    assert list(slices["length"]) == ["1-4", "5-8", "9-12", "21+"]


def test_a_property_with_one_label_gives_no_slices(tmp_path: Path) -> None:
    same_kind = (JudgedQuery(1, 1, "红裙子", {7: 1}), JudgedQuery(2, 2, "蓝裙子", {8: 1}))
    assert slice_queries(Judgments(tmp_path, same_kind)) == []
    images = (JudgedQuery(1, 1, None, {7: 1}), JudgedQuery(2, 2, None, {8: 1, 9: 1}))
    assert [part.by for part in slice_queries(Judgments(tmp_path, images))] == [
        "positives",
        "positives",
    ]


def test_categories_come_from_the_query_file(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(
        '{"query_id": 1, "query_text": "裙", "item_ids": [7], "category": "女装"}\n'
        '{"query_id": 2, "query_text": "鞋", "item_ids": [8]}\n'
        '{"query_id": 3, "query_text": "包", "item_ids": [9], "category": 4}\n'
    )
    assert [row.category for row in read_judgments(path).rows] == ["女装", None, None]
