"""Correct pairs of equal texts and of near duplicates, found once for a split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tusou_lab.train.batches import BatchSampler
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.duplicates import find_duplicates
from tusou_lab.train.identities import PairIdentities

from tests.tusou_lab.train.test_batches import split
from tusou.cli.progress import NoProgress


def drawn(colours: list[tuple[int, int, int]]) -> TrainingSplit:
    """Return a split of one query an image, of a coloured disc each."""
    pixels = []
    for number, colour in enumerate(colours):
        image = Image.new("RGB", (64, 64), "white")
        left = 8 + 16 * (number % 2)
        ImageDraw.Draw(image).ellipse((left, 12, left + 34, 52), fill=colour)
        pixels.append(np.asarray(image))
    rows = split(tuple((number,) for number in range(len(colours))), len(colours))
    return replace(rows, pixels=np.stack(pixels))


def test_queries_of_one_text_share_their_images() -> None:
    rows = replace(split(((0,), (1,), (2,))), texts=("连衣裙", "鞋", "连衣裙"))
    identities = PairIdentities.of(rows)
    assert [images.tolist() for images in identities.correct] == [[0, 2], [1], [0, 2]]
    found = identities.are_correct(np.array([0, 1]), np.array([0, 1, 2, 5]))
    assert found.tolist() == [[True, False, True, False], [False, True, False, False]]


def test_duplicates_of_a_correct_image_are_correct_and_one_item() -> None:
    identities = PairIdentities.of(split(((0,), (3,), (5,))), [[0, 3], [3, 4]])
    assert [images.tolist() for images in identities.correct] == [[0, 3], [0, 3, 4], [5]]
    assert identities.items.tolist() == [0, 1, 2, 0, 0, 3]


def test_a_batch_counts_duplicates_as_correct() -> None:
    rows = split(((0,), (1,), (2,)), images=3)
    identities = PairIdentities.of(rows, [[0, 2]])
    (batch,) = BatchSampler(rows, 3, seed=1, identities=identities).epoch(0)
    pairs = {
        (int(query), int(image))
        for query, row in zip(batch.queries, batch.correct, strict=True)
        for image in batch.images[row]
    }
    assert pairs == {(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)}


def test_near_duplicates_are_found_by_look_and_exact_ones_by_pixels(tmp_path: Path) -> None:
    red, blue = (210, 30, 40), (40, 60, 200)
    rows = drawn([red, blue, (214, 34, 42), blue, (210, 30, 40)])
    near = PairIdentities.of(rows, find_duplicates(rows, "near", tmp_path, NoProgress()))
    assert len({int(near.items[number]) for number in (0, 2, 4)}) == 1
    assert near.items[1] == near.items[3] != near.items[0]
    exact = find_duplicates(rows, "exact", tmp_path, NoProgress())
    assert exact == [[0, 4], [1, 3]]
    assert find_duplicates(rows, "none", tmp_path, NoProgress()) == []


def test_groups_are_kept_for_later_runs(tmp_path: Path) -> None:
    rows = drawn([(210, 30, 40), (40, 60, 200), (210, 30, 40)])
    groups = find_duplicates(rows, "exact", tmp_path, NoProgress())
    (kept,) = tmp_path.iterdir()
    kept.write_text("[[0, 1]]")
    assert find_duplicates(rows, "exact", tmp_path, NoProgress()) == [[0, 1]] != groups
