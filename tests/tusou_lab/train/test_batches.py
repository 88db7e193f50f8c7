"""Training batches: reproducible from the seed, known correct images are never negatives."""

import numpy as np
from tusou_lab.train.augment.images import augment_images
from tusou_lab.train.batches import BatchSampler
from tusou_lab.train.data import TrainingSplit

from tusou.encoders.training_record import SplitRecord

QUERIES = ((0, 1), (1,), (2, 3), (3,), (0, 2, 3), (5,))


def split(queries: tuple[tuple[int, ...], ...], images: int = 6, side: int = 4) -> TrainingSplit:
    pixels = np.zeros((images, side, side, 3), np.uint8)
    pixels[:] = np.arange(images, dtype=np.uint8)[:, None, None, None]
    tokens = np.zeros((len(queries), 5), np.int64)
    for row in range(len(queries)):
        tokens[row, : 2 + row % 3] = 100 + row
    correct = tuple(np.array(images) for images in queries)
    record = SplitRecord(source="x#train", images=len(pixels), queries=len(correct), sha256="")
    texts = tuple(f"{row}号连衣裙" for row in range(len(queries)))
    return TrainingSplit(pixels, texts, tokens, correct, record)


def pairs(batches: BatchSampler, epoch: int) -> list[tuple[int, int]]:
    return [
        (int(tokens[0]) - 100, int(pixels[0, 0, 0]))
        for batch in batches.epoch(epoch)
        for tokens, pixels in zip(batch.tokens, batch.pixels, strict=True)
    ]


def test_an_epoch_visits_every_query_once_with_a_correct_image() -> None:
    visited = pairs(BatchSampler(split(QUERIES), 2, seed=1), 0)
    assert sorted(query for query, _ in visited) == [0, 1, 2, 3, 4, 5]
    assert all(image in QUERIES[query] for query, image in visited)


def test_with_fewer_queries_an_epoch_visits_every_correct_image_once() -> None:
    queries = ((0, 1, 2), (3, 5))
    visited = pairs(BatchSampler(split(queries), 5, seed=1), 0)
    assert sorted(image for _, image in visited) == [0, 1, 2, 3, 5]  # 4 is correct for no query
    assert all(image in queries[query] for query, image in visited)


def test_correct_images_of_other_rows_count_as_correct() -> None:
    (batch,) = BatchSampler(split(QUERIES), 6, seed=1).epoch(0)
    queries = [int(tokens[0]) - 100 for tokens in batch.tokens]
    images = [int(pixels[0, 0, 0]) for pixels in batch.pixels]
    expected = [[image in QUERIES[query] for image in images] for query in queries]
    assert batch.correct.tolist() == expected
    assert batch.correct.sum() > 6


def test_epochs_differ_and_repeat_from_the_seed() -> None:
    first, second = (BatchSampler(split(QUERIES), 2, seed=1) for _ in range(2))
    assert pairs(first, 3) == pairs(second, 3) != pairs(first, 4)
    assert pairs(BatchSampler(split(QUERIES), 2, seed=2), 3) != pairs(first, 3)


def test_an_epoch_can_start_in_the_middle() -> None:
    batches = BatchSampler(split(QUERIES, side=16), 2, seed=1)
    complete, rest = list(batches.epoch(0)), list(batches.epoch(0, start=2))
    np.testing.assert_array_equal(rest[0].pixels, complete[2].pixels)
    np.testing.assert_array_equal(rest[0].tokens, complete[2].tokens)
    assert (len(batches), len(complete), len(rest)) == (3, 3, 1)


def test_tokens_are_padded_to_the_longest_of_the_batch() -> None:
    (batch,) = BatchSampler(split(QUERIES[:1]), 8, seed=1).epoch(0)
    assert batch.tokens.tolist() == [[100, 100]] * 2  # two images, one query


def test_augmentation_shifts_and_mirrors_whole_images() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None], (32, 32, 3)[:2])
    images = np.repeat(np.stack([ramp.T] * 64)[..., None], 3, axis=3)
    augmented = augment_images(images, np.random.default_rng(0), ("shift", "flip"))
    steps = {tuple(np.unique(np.diff(row.astype(int)))) for row in augmented[:, 0, :, 0]}
    assert steps <= {(0, 1), (-1, 0), (1,), (-1,)}
    assert any(-1 in step for step in steps)
    assert any(1 in step for step in steps)
    assert set(np.abs(augmented[:, 0, 16, 0].astype(int) - 15.5).tolist()) <= {0.5, 1.5, 2.5}
