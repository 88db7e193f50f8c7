"""Edge cases of the official scorer: its behaviour, ours, and their documentation."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from official import official_score
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec

from tusou.core.errors import BadDataset

DOCS = Path(__file__).parents[3] / "docs" / "evaluation.md"
SCORED = [100 * 2 / 3, 50.0, 50.0, 100.0]  # mean recall, and recall at 1, 5 and 10


def row(query: object = 1, items: object = None) -> bytes:
    items = list(range(10)) if items is None else items
    return json.dumps({"text_id": query, "image_ids": items}).encode() + b"\n"


# The correct item of query 1 is at rank 1, that of query 2 at rank 6.
GOLDEN = row(1, [0, 77]) + row(2, [5])
FIRST, SECOND = row(1), row(2)
GOOD = FIRST + SECOND


@dataclass(frozen=True)
class Case:
    name: str  # as in the documentation
    predicted: bytes
    official: list[float] | str  # scores, or a part of what it says
    ours: list[float] | str
    golden: bytes = GOLDEN


CASES = [
    Case("rows in another order", SECOND + FIRST, SCORED, SCORED),
    Case("a query that is not in the judgments", GOOD + row(3), SCORED, ":3: query 3 is not in"),
    Case(
        "a query twice",
        row(1, list(range(20, 30))) + GOOD,
        SCORED,
        ":2: query 1 again, first on line 1",
    ),
    Case("a query left out", FIRST, "have no prediction", "query 2 has no row in"),
    Case("9 items", FIRST + row(2, list(range(9))), "wrong number", "9 items instead of 10"),
    Case("11 items", FIRST + row(2, list(range(11))), "wrong number", "11 items instead of 10"),
    Case("an item twice", FIRST + row(2, [5, 5, *range(8)]), "duplicate", "query 2: repeats 5"),
    Case(
        "item ids as strings",
        FIRST + row(2, [str(n) for n in range(10)]),
        "should be an integer",
        "ids must be integers",
    ),
    Case(
        "item ids with a fraction",
        FIRST + row(2, [*range(9), 9.0]),
        "should be an integer",
        "9.0 is neither an integer nor a string",
    ),
    Case(
        "`true` as an item id",
        row(1, [0, True, *range(2, 10)]) + SECOND,
        SCORED,
        "true is neither an integer nor a string",
    ),
    Case("items outside the pool", FIRST + row(2, [*range(9), 999]), SCORED, SCORED),
    Case("a blank line in the middle", FIRST + b"\n" + SECOND, "Cannot parse", ":2: blank line"),
    Case("a blank line at the end", GOOD + b"\n", "Cannot parse", ":3: blank line"),
    Case("no line end at the end", GOOD.rstrip(), SCORED, SCORED),
    Case("Windows line ends", GOOD.replace(b"\n", b"\r\n"), SCORED, SCORED),
    Case("a byte order mark", b"\xef\xbb\xbf" + GOOD, "Cannot parse", SCORED),
    Case("UTF-16", GOOD.decode().encode("utf-16"), "codec can't decode", "not a JSON object"),
    Case("a JSON array", b"[" + FIRST + b"]", "Cannot parse", ":1: not a JSON object"),
    Case(
        "MUGE's names, `query_id` and `item_ids`",
        GOOD.replace(b"text_id", b"query_id").replace(b"image_ids", b"item_ids"),
        "not containing text_id",
        SCORED,
    ),
    Case("a query id as a string", row("1") + SECOND, "local variable 'qid'", 'query "1" is not'),
    Case("an empty file", b"", "have no prediction", "query 1 has no row in"),
    Case(
        "a query without a correct item",
        GOOD + row(3),
        [100 * (1 / 3 + 1 / 3 + 2 / 3) / 3, 100 / 3, 100 / 3, 200 / 3],
        [100 * (1 / 3 + 1 / 3 + 2 / 3) / 3, 100 / 3, 100 / 3, 200 / 3],
        GOLDEN + row(3, []),
    ),
    Case("no judgments at all", GOOD, "division by zero", "is empty", b""),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_official_scorer_and_ours(case: Case, tmp_path: Path) -> None:
    golden, predicted = tmp_path / "golden.jsonl", tmp_path / "pred.jsonl"
    golden.write_bytes(renamed(case.golden))
    predicted.write_bytes(case.predicted)
    ours = scored(predicted, golden)
    golden.write_bytes(case.golden)
    assert agrees(official_score(golden, predicted), case.official)
    assert agrees(ours, case.ours)
    if isinstance(case.official, list) and isinstance(case.ours, list):
        assert ours == official_score(golden, predicted)


def renamed(golden: bytes) -> bytes:
    """Return the answers as a query file, with the text that our format requires."""
    return golden.replace(b'{"text_id"', b'{"text": "", "text_id"')


def scored(predicted: Path, golden: Path) -> list[float] | str:
    try:
        percent = evaluate(predicted, golden).evaluation.percent
    except BadDataset as error:
        return str(error)
    return [percent[name] for name in ("mean_recall", "hit@1", "hit@5", "hit@10")]


def agrees(actual: list[float] | str, expected: list[float] | str) -> bool:
    if isinstance(expected, list):
        return actual == pytest.approx(expected, abs=1e-12)
    return isinstance(actual, str) and expected in actual


def test_items_outside_the_pool_are_refused_when_the_pool_is_given(tmp_path: Path) -> None:
    golden, predicted, pool = (tmp_path / name for name in ("golden", "predicted", "pool.tsv"))
    golden.write_bytes(renamed(GOLDEN))
    predicted.write_bytes(FIRST + row(2, [*range(9), 999]))
    pool.write_text("".join(f"{n}\t/9j/\n" for n in range(100)))
    with pytest.raises(BadDataset, match=r"predicted:2: query 2: not in the pool: 999"):
        evaluate(predicted, golden, BundleSearchSpec(pool=pool))


def test_the_official_scorer_s_failure_is_exit_status_0_and_ours_1(tmp_path: Path) -> None:
    golden, predicted, out = (tmp_path / name for name in ("golden", "predicted", "out"))
    golden.write_bytes(renamed(GOLDEN))
    predicted.write_bytes(FIRST)
    official = [sys.executable, "-W", "ignore", "-m", "cn_clip.eval.evaluation"]
    done = subprocess.run([*official, golden, predicted, out], capture_output=True, check=False)
    assert (done.returncode, json.loads(out.read_text())["success"]) == (0, False)
    ours = [sys.executable, "-m", "tusou", "evaluate", predicted, "--answers", golden]
    assert subprocess.run(ours, capture_output=True, check=False).returncode == 1


def test_every_case_is_documented() -> None:
    page = DOCS.read_text("utf-8")
    table = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    documented = {name: (official, ours) for name, official, ours in table}
    for case in CASES:
        official, ours = documented[case.name]
        assert official.startswith("error") == isinstance(case.official, str), case.name
        refused = ours.startswith("error") and "with `--pool`" not in ours
        assert refused == isinstance(case.ours, str), case.name
    assert "any failure" in documented
