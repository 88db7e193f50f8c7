"""Grades in answers of language models: the forms that count, and the many that do not."""

import json

import pytest
from chat_server import listed

from tusou.stages.endpoint_grades import parse_grades

LISTED = listed([3, 0, 2])
GRADED = {0: 1.0, 1: 0.0, 2: pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(LISTED, id="as-asked"),
        pytest.param(f"```json\n{LISTED}\n```", id="fence"),
        pytest.param(f"好的，评分如下：\n{LISTED}\n以上。", id="prose"),
        pytest.param('<think>{"number": 1, "grade": 0}？</think>' + LISTED, id="thoughts"),
        pytest.param(LISTED[LISTED.index("[") : -1], id="bare-list"),
        pytest.param('{"grades": {"1": 3, "2": 0, "3": 2}}', id="by-number"),
        pytest.param('{"1": 3, "2": 0, "3": 2}', id="bare-by-number"),
        pytest.param('{"grades": [3, 0, 2]}', id="in-order"),
        pytest.param(
            '{"grades": [{"编号": "1", "分数": "3"}, ["x"], {"编号": 2, "分数": 0.0}, '
            '{"number": 3, "score": 2}]}',
            id="other-names",
        ),
        pytest.param(
            '{"number": 1, "grade": 3}\n{"number": 2, "grade": 0}\n{"number": 3, "grade": 2}',
            id="lines",
        ),
    ],
)
def test_reads(answer: str) -> None:
    assert parse_grades(answer, 3, whole_list=True) == GRADED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(LISTED[:-4], {0: 1.0, 1: 0.0}, id="cut-off-in-the-third"),
        pytest.param(LISTED[:13], {}, id="cut-off-in-the-first"),
        pytest.param(listed([3, 0, 2, 3]), GRADED, id="one-too-many"),
        pytest.param(listed([3, None, True]), {0: 1.0}, id="no-numbers"),
        pytest.param(listed([4, -1, 2]), {2: 2 / 3}, id="outside-the-scale"),
        pytest.param(listed([float("nan"), float("inf"), 3]), {2: 1.0}, id="nan"),
        pytest.param('{"grades": [{"number": 1, "grade": "NaN"}, {"number": 2, "grade": 1e999}, '
                     '{"number": 3, "grade": 3}]}', {2: 1.0}, id="nan-as-text"),
        pytest.param('{"grades": [{"number": 1, "grade": 3}, {"number": 1, "grade": 3}, '
                     '{"number": 2, "grade": 1}]}', {1: 1 / 3}, id="graded-twice"),
        pytest.param('{"grades": [{"number": 0, "grade": 3}, {"number": 9, "grade": 3}, '
                     '{"number": 1.5, "grade": 3}, {"number": "二", "grade": 3}]}', {},
                     id="unknown-numbers"),
        pytest.param('{"grades": [3, 0]}', {}, id="a-list-too-short"),
        pytest.param("第 1 件最符合，其余不符合。", {}, id="prose"),
        pytest.param("", {}, id="nothing"),
        pytest.param("[" * 70_000, {}, id="nested-without-end"),
        pytest.param('{"a":' * 20_000, {}, id="objects-without-end"),
        pytest.param(f'{{"grades": [{{"number": 1, "grade": {"9" * 5000}}}]}}', {}, id="digits"),
        pytest.param(f'{{"1": {"9" * 400}}}', {}, id="beyond-float"),
        pytest.param(f"{' ' * 65_536}{LISTED}", {}, id="too-far-behind"),
    ],
)  # fmt: skip
def test_leaves_out(answer: str, expected: dict[int, float]) -> None:
    assert parse_grades(answer, 3, whole_list=True) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        pytest.param([1, 0, 1], [1 / 3, 0, 1 / 3], id="integers-are-on-the-scale-asked-for"),
        pytest.param([1, 0.5, 0], [1, 0.5, 0], id="fractions-up-to-1-are-shares"),
        pytest.param([1.5, 0.5, 3], [0.5, 1 / 6, 1], id="fractions-beyond-1-are-not"),
    ],
)
def test_finds_the_scale(grades: list[float], expected: list[float]) -> None:
    read = parse_grades(listed(grades), 3, whole_list=True)
    assert [read[position] for position in range(3)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param('{"order": [3, 1, 2]}', {2: 1.0, 0: 2 / 3, 1: 1 / 3}, id="all"),
        pytest.param('{"排序": ["2", 9, 3]}', {1: 1.0, 2: 2 / 3}, id="an-unknown-one"),
        pytest.param('{"order": [1, 1, 2]}', {1: 1.0}, id="one-twice"),
        pytest.param('{"order": [3, 1, 2]} {"order": [1, 2, 3]}', {}, id="two-orders"),
        pytest.param('{"order": [3, 1, 2], "grades": [1, 2, 3]}', {0: 1 / 3, 1: 2 / 3, 2: 1.0},
                     id="grades-come-first"),
    ],
)  # fmt: skip
def test_reads_an_order(answer: str, expected: dict[int, float]) -> None:
    assert parse_grades(answer, 3, whole_list=True) == pytest.approx(expected)


def test_an_order_of_a_part_of_the_candidates_is_no_score() -> None:
    assert parse_grades('{"order": [3, 1, 2]}', 3, whole_list=False) == {}


@pytest.mark.parametrize(
    "answer", ['{"grade": 2}', "2", " 2.0\n", '{"number": 1, "grade": 2}', "[2]"]
)
def test_reads_the_grade_of_a_single_candidate(answer: str) -> None:
    expected = {} if answer == "[2]" else {0: pytest.approx(2 / 3)}
    assert parse_grades(answer, 1, whole_list=True) == expected


def test_a_bare_number_is_no_grade_of_several() -> None:
    assert parse_grades("2", 2, whole_list=True) == {}
    assert parse_grades(json.dumps({"grade": 2}), 2, whole_list=True) == {}
