"""Groups of a batch: negatives are mined, and never correct."""

import numpy as np
import pytest
from tusou_lab.train.identities import unite_same_texts
from tusou_lab.train.rerank.batches import HARD, RANDOM, GroupSampler
from tusou_lab.train.rerank.data import RerankSplit

from tusou.encoders.training_record import SplitRecord

IMAGES, DEPTH = 60, 20


@pytest.fixture
def split() -> RerankSplit:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(IMAGES, 8)).astype(np.float32)
    vectors[31] = vectors[30]  # one image under two ids
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[[0, 30, 5]]
    candidates = np.argsort(-queries @ vectors.T, axis=1, kind="stable")[:, :DEPTH]
    far = int(np.argmin(queries[0] @ vectors.T))
    correct = (np.array(sorted([0, far])), np.array([30]), np.arange(IMAGES))
    record = SplitRecord(source="x#train", images=IMAGES, queries=3, sha256="")
    tokens = np.zeros((IMAGES, 2, 4), np.float16)
    return RerankSplit(tokens, (), vectors, queries, correct, candidates, record)


def groups(split: RerankSplit, epochs: int = 40) -> list[tuple[int, int, list[int]]]:
    """Return query, positive and negatives of the groups of several epochs."""
    queries_of_images = [np.empty(0, np.int64)] * IMAGES
    sampler = GroupSampler(split, queries_of_images, 3, seed=9)
    return [
        (query, int(images[0]), images[1:][used[1:]].tolist())
        for epoch in range(epochs)
        for batch in sampler.epoch(epoch)
        for query, images, used in zip(
            batch.queries.tolist(), batch.images, batch.used, strict=True
        )
    ]


def test_what_is_correct_is_never_a_negative(split: RerankSplit) -> None:
    for query, positive, negatives in groups(split):
        assert positive in split.correct[query]
        assert not set(negatives) & set(split.correct[query].tolist())


def test_the_same_image_under_another_id_is_no_hard_negative(split: RerankSplit) -> None:
    assert 31 in split.candidates[1]
    assert 31 not in split.hard_negatives(1)
    assert len(split.hard_negatives(1)) == DEPTH - 2


def test_hard_negatives_stand_beside_a_positive_that_is_among_the_best(split: RerankSplit) -> None:
    best = set(split.candidates[0].tolist())
    near, far = split.correct[0].tolist()[::-1] if 0 not in best else split.correct[0].tolist()
    shares = {near: [], far: []}
    for query, positive, negatives in groups(split, 200):
        if query == 0:
            shares[positive].append(len(best & set(negatives)))
    assert min(shares[near]) >= HARD
    assert np.mean(shares[far]) < HARD  # random ones only


def test_a_query_for_which_all_images_are_correct_has_no_negatives(split: RerankSplit) -> None:
    assert {tuple(negatives) for query, _, negatives in groups(split) if query == 2} == {()}
    counts = {len(negatives) for query, _, negatives in groups(split) if query == 1}
    assert max(counts) == HARD + RANDOM


def test_queries_of_one_text_share_their_correct_images() -> None:
    united = unite_same_texts(
        ["连衣裙", "鞋", "连衣裙"], [np.array([3]), np.array([1]), np.array([0, 3])]
    )
    assert [images.tolist() for images in united] == [[0, 3], [1], [0, 3]]
