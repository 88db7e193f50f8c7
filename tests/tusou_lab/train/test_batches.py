"""Batches: who meets whom is drawn from the seed, and known answers are never negatives."""

import numpy as np
from tusou_lab.train.batches import Batches, augmented
from tusou_lab.train.data import Split

QUERIES = ((0, 1), (1,), (2, 3), (3,), (0, 2, 3), (5,))


def split(queries: tuple[tuple[int, ...], ...], images: int = 6, side: int = 4) -> Split:
    pixels = np.zeros((images, side, side, 3), np.uint8)
    pixels[:] = np.arange(images, dtype=np.uint8)[:, None, None, None]
    tokens = np.zeros((len(queries), 5), np.int64)
    for row in range(len(queries)):
        tokens[row, : 2 + row % 3] = 100 + row
    return Split(pixels, tokens, tuple(np.array(found) for found in queries))


def pairs(batches: Batches, epoch: int) -> list[tuple[int, int]]:
    return [
        (int(tokens[0]) - 100, int(pixels[0, 0, 0]))
        for batch in batches.epoch(epoch)
        for tokens, pixels in zip(batch.tokens, batch.pixels, strict=True)
    ]


def test_an_epoch_visits_every_query_once_with_a_correct_image() -> None:
    met = pairs(Batches(split(QUERIES), 2, seed=1), 0)
    assert sorted(query for query, _ in met) == [0, 1, 2, 3, 4, 5]
    assert all(image in QUERIES[query] for query, image in met)


def test_with_fewer_queries_it_visits_every_wanted_image_once() -> None:
    queries = ((0, 1, 2), (3, 5))
    met = pairs(Batches(split(queries), 5, seed=1), 0)
    assert sorted(image for _, image in met) == [0, 1, 2, 3, 5]  # nobody asks for 4
    assert all(image in queries[query] for query, image in met)


def test_known_answers_of_other_rows_are_correct_too() -> None:
    (batch,) = Batches(split(QUERIES), 6, seed=1).epoch(0)
    queries = [int(tokens[0]) - 100 for tokens in batch.tokens]
    images = [int(pixels[0, 0, 0]) for pixels in batch.pixels]
    expected = [[image in QUERIES[query] for image in images] for query in queries]
    assert batch.correct.tolist() == expected
    assert batch.correct.sum() > 6


def test_epochs_differ_and_repeat_from_the_seed() -> None:
    ours, again = (Batches(split(QUERIES), 2, seed=1) for _ in range(2))
    assert pairs(ours, 3) == pairs(again, 3) != pairs(ours, 4)
    assert pairs(Batches(split(QUERIES), 2, seed=2), 3) != pairs(ours, 3)


def test_an_epoch_can_be_entered_in_the_middle() -> None:
    batches = Batches(split(QUERIES, side=16), 2, seed=1)
    whole, entered = list(batches.epoch(0)), list(batches.epoch(0, start=2))
    np.testing.assert_array_equal(entered[0].pixels, whole[2].pixels)
    np.testing.assert_array_equal(entered[0].tokens, whole[2].tokens)
    assert (len(batches), len(whole), len(entered)) == (3, 3, 1)


def test_padding_goes_to_the_longest_text_of_the_batch() -> None:
    (batch,) = Batches(split(QUERIES[:1]), 8, seed=1).epoch(0)
    assert batch.tokens.tolist() == [[100, 100]] * 2  # two images, one query


def test_augmentation_shifts_and_mirrors_whole_images() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None], (32, 32, 3)[:2])
    images = np.repeat(np.stack([ramp.T] * 64)[..., None], 3, axis=3)
    moved = augmented(images, np.random.default_rng(0))
    steps = {tuple(np.unique(np.diff(row.astype(int)))) for row in moved[:, 0, :, 0]}
    assert steps <= {(0, 1), (-1, 0), (1,), (-1,)}
    assert any(-1 in step for step in steps)
    assert any(1 in step for step in steps)
    assert set(np.abs(moved[:, 0, 16, 0].astype(int) - 15.5).tolist()) <= {0.5, 1.5, 2.5}
