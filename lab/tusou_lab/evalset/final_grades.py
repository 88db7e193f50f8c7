"""The grade that counts for each pair: people's before a model's, the median of several."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.ids import ItemId
from tusou_lab.evalset.judgment import Judgment

PERSON = "person:"  # begins the name of a judge who is a person

Pair = tuple[int, ItemId]


def pick_judge(judgments: Iterable[Judgment], judge: str | None) -> str | None:
    """Return the judge whose grades count where no person graded; None if only people did.

    That is `judge`, or the only one that is not a person. Raises InvalidRequest where several could
    be meant, for a person, whose grades count in any case, and for a judge that gave no grade.
    """
    names = {each.judge for each in judgments if each.grade is not None}
    machines = sorted(name for name in names if not name.startswith(PERSON))
    listed = ", ".join(machines) or "none"
    if judge is None:
        if len(machines) > 1:
            raise InvalidRequest(f"several judges gave grades: choose one with --judge: {listed}")
        return machines[0] if machines else None
    if judge.startswith(PERSON):
        raise InvalidRequest(
            f"--judge {judge}: the grades of all people count in any case; name the judge of the "
            f"other pairs, or leave the option out. Other judges: {listed}"
        )
    if judge not in machines:
        raise InvalidRequest(f"--judge {judge}: it gave no grade; judges with grades: {listed}")
    return judge


def final_grades(judgments: Sequence[Judgment], judge: str | None) -> dict[Pair, int]:
    """Return the grade of every pair that has one; BadDataset without any, else as `pick_judge`.

    Where people graded a pair, the last grade of each counts, elsewhere those of the judge.
    """
    judge = pick_judge(judgments, judge)
    graded = last_of_people(each for each in judgments if each.grade is not None)
    by_people: dict[Pair, list[int]] = defaultdict(list)
    by_judge: dict[Pair, list[int]] = defaultdict(list)
    for each in graded:
        assert each.grade is not None
        pair = each.query_id, each.item_id
        if each.judge.startswith(PERSON):
            by_people[pair].append(each.grade)
        elif each.judge == judge:
            by_judge[pair].append(each.grade)
    grades = _middles(by_judge) | _middles(by_people)
    if not grades:
        raise BadDataset("nothing is judged yet: run `tusou evalset judge` or `review`")
    return grades


def last_of_people(judgments: Iterable[Judgment]) -> list[Judgment]:
    """Return the judgments with the last one alone of each person and pair."""
    last: dict[tuple[object, ...], Judgment] = {}
    for each in judgments:
        repeat = 0 if each.judge.startswith(PERSON) else each.repeat
        last[each.judge, each.query_id, each.item_id, repeat] = each
    return list(last.values())


def _middles(grades: Mapping[Pair, list[int]]) -> dict[Pair, int]:
    """Return the median of each list, the lower of two."""
    return {pair: sorted(values)[(len(values) - 1) // 2] for pair, values in grades.items()}
