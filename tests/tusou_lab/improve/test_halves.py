"""Halves of judged queries: disjoint, of equal size, and independent of the file's order."""

from pathlib import Path

import numpy as np
import pytest
from tusou_lab.improve.halves import split_halves

from tusou.core.errors import BadDataset
from tusou.evaluation.judgments import JudgedQuery, Judgments


def judgments(texts: list[str | None]) -> Judgments:
    rows = (
        JudgedQuery(n, f"{n}.jpg#zhc#{n}", text, {"a": 1}) for n, text in enumerate(texts, start=1)
    )
    return Judgments(Path("valid.jsonl"), tuple(rows))


TEXTS = [f"连衣裙{number}" for number in range(101)]


def test_every_query_is_in_one_half() -> None:
    halves = split_halves(judgments(TEXTS), seed=0)
    together = np.concatenate([halves.choosing, halves.confirming])
    assert sorted(together.tolist()) == list(range(101))
    assert (len(halves.choosing), len(halves.confirming)) == (51, 50)


def test_queries_of_the_same_text_are_in_the_same_half() -> None:
    texts = [text for text in TEXTS[:20] for _ in range(3)]
    texts[1], texts[4] = f" {texts[1]}\n", f"{texts[4]}\t"
    for seed in range(5):
        choosing = set(split_halves(judgments(list(texts)), seed).choosing.tolist())
        for first in range(0, 60, 3):
            assert len({first + n in choosing for n in range(3)}) == 1


def test_the_order_of_the_file_does_not_matter() -> None:
    rows = judgments(list(TEXTS)).rows
    backwards = Judgments(Path("valid.jsonl"), rows[::-1])
    forward, back = (split_halves(each, 7) for each in (judgments(list(TEXTS)), backwards))
    assert {rows[n].query_id for n in forward.choosing.tolist()} == {
        backwards.rows[n].query_id for n in back.choosing.tolist()
    }


def test_another_seed_divides_otherwise() -> None:
    first, second = (split_halves(judgments(list(TEXTS)), seed).choosing for seed in (0, 1))
    assert first.tolist() != second.tolist()


def test_images_are_told_apart_by_their_ids() -> None:
    halves = split_halves(judgments([None] * 10), seed=0)
    assert (len(halves.choosing), len(halves.confirming)) == (5, 5)


@pytest.mark.parametrize("texts", [[], ["裙"], ["裙", "裙 ", " 裙"]])
def test_queries_that_cannot_be_divided_are_refused(texts: list[str | None]) -> None:
    with pytest.raises(BadDataset, match="different queries; give at least two"):
        split_halves(judgments(texts), seed=0)
