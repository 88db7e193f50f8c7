"""Findings about labelled pairs."""

from tusou_lab.check.findings import Findings
from tusou_lab.check.pair_checks import check_pairs

from tusou.core.ids import Failure
from tusou.data.labelled_pairs import LabelledPair


def test_pairs_that_do_not_match_and_contradictions_are_counted() -> None:
    findings = Findings()
    rows = [
        LabelledPair(1, "裙", "a", matches=True),
        LabelledPair(2, "裙", "a", matches=False),
        LabelledPair(3, "裙", "b", matches=False),
        Failure(4, None, "label is neither 0 nor 1"),
        LabelledPair(5, "鞋", "b", matches=True),
    ]
    check_pairs("val", rows, findings)
    assert [(each.code, each.count, each.examples) for each in findings.sorted()] == [
        ("contradictory_pairs", 1, ("a, 裙",)),
        ("unmatched_pairs", 2, ("line 2: a, 裙", "line 3: b, 裙")),
    ]
