"""Lists of problems: all of a few, the first of many, and a file with all."""

from pathlib import Path

from tusou.core.problems import list_problems


def test_a_few_problems_are_listed() -> None:
    assert list_problems(["one", "two"]) == "\n  one\n  two"


def test_many_problems_are_in_a_file() -> None:
    problems = [f"line {number}" for number in range(3000)]
    listed = list_problems(problems).split("\n  ")
    assert listed[1:21] == problems[:20]
    count, _, name = listed[21].partition("; all of them are in ")
    assert (count, len(listed)) == ("and 2980 more", 22)
    assert Path(name).read_text("utf-8").splitlines() == problems
    Path(name).unlink()
