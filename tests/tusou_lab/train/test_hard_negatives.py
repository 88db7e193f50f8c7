"""Hard negatives: near to the query, never correct, below the ceiling."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from tusou_lab.train import hard_negatives
from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.batches import BatchSampler
from tusou_lab.train.hard_negatives import HardNegatives, NegativeMiner, NegativesSpec
from tusou_lab.train.identities import PairIdentities
from tusou_lab.train.shared_words import SharedWords

from tests.tusou_lab.train.test_batches import split
from tusou.core.errors import InvalidRequest

CPU = torch.device("cpu")


@dataclass
class VectorModel:
    """A model whose vectors are given by the first pixel, and by the first token."""

    images: Tensor
    texts: Tensor

    network = nn.Identity()
    traits = SimpleNamespace()

    def encode_images(self, pixels: Tensor) -> Tensor:
        return self.images[pixels[:, 0, 0, 0].long()]

    def encode_texts(self, tokens: Tensor) -> Tensor:
        return self.texts[tokens[:, 0] - 100]


def angles(*degrees: float) -> Tensor:
    radians = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def mine(spec: NegativesSpec, groups: Sequence[Sequence[int]] = ()) -> list[list[int]]:
    """Mine for two queries at 0 and 90 degrees, whose images are at 20 and 70."""
    rows = replace(split(((0,), (1,))), texts=("红色 连衣裙", "红色 皮鞋"))
    model = VectorModel(angles(20, 70, 10, 30, -40, 180), angles(0, 90))
    miner = NegativeMiner(model, rows, PairIdentities.of(rows, groups), spec, 0, CPU)
    return miner.mine(np.array([0, 1]), 0).tolist()


def test_the_best_below_the_ceiling_are_taken() -> None:
    # Cosines of query 0 in percent: 94 (correct), 34, 98, 87, 77, -100; of query 1: 34, 94
    # (correct), 17, 50, -64, 0. The ceiling leaves out image 2, above the correct one.
    assert mine(NegativesSpec(2, mine_by=("score",))) == [[3, 4], [3, 0]]
    assert mine(NegativesSpec(2, mine_by=("score",), negative_ceiling=0.9)) == [[4, 1], [3, 0]]
    assert mine(NegativesSpec(6, mine_by=("score",)))[0] == [3, 4, 1, 5, -1, -1]


def test_duplicates_of_correct_images_are_no_negatives() -> None:
    assert mine(NegativesSpec(2, mine_by=("score",)), [[0, 3]]) == [[4, 1], [3, 0]]


def test_sources_take_turns() -> None:
    assert mine(NegativesSpec(1, mine_by=("words",))) == [[1], [0]]  # 红色 is shared
    # Nearest to image 0, at 20 degrees: 3 and then 1; image 2 is above the ceiling.
    assert mine(NegativesSpec(2, mine_by=("look",)))[0] == [3, 1]
    assert mine(NegativesSpec(3))[0] == [3, 1, 4]


def test_a_large_split_is_searched_in_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_negatives, "_MAX_IMAGES", 2)
    rows = split(tuple((number,) for number in range(6)))
    model = VectorModel(angles(0, 5, 10, 15, 20, 25), angles(*range(6)))
    spec = NegativesSpec(5, mine_by=("score",), negative_ceiling=1.0)
    miner = NegativeMiner(model, rows, PairIdentities.of(rows), spec, 0, CPU)
    mined = [miner.mine(np.array([0]), step) for step in range(8)]
    assert all((row >= 0).sum() <= 2 for row in mined)
    assert len({tuple(row[0].tolist()) for row in mined}) > 1
    np.testing.assert_array_equal(mined[3], miner.mine(np.array([0]), 3))


def test_shared_words_begin_with_the_rarest() -> None:
    texts = ["红色 迷彩 连衣裙", "红色 皮鞋", "迷彩 帽子", "红色 帽子", "台灯"]
    words = SharedWords(texts, [np.array([number]) for number in range(5)])
    assert words.find(0, 10).tolist() == [2, 1, 3]
    assert words.find(0, 1).tolist() == [2]
    assert words.find(4, 10).tolist() == []


def test_the_table_is_mined_once_for_its_steps() -> None:
    table = HardNegatives(4, 2)
    assert table.is_due(0, 3)
    table.replace(np.array([1, 2]), np.array([[5, 3], [3, -1]]), 0)
    assert [table.is_due(step, 3) for step in (1, 2, 3, 4)] == [False, False, True, True]
    assert table.of(np.array([0, 1, 2])).tolist() == [3, 5]
    restored = HardNegatives(4, 2)
    restored.load_state_dict(table.state_dict())
    assert restored.of(np.array([2, 2])).tolist() == [3]
    assert not restored.is_due(2, 3)


def test_a_batch_gets_the_images_it_lacks() -> None:
    rows = split(((0,), (1,), (2,)))
    batches = BatchSampler(rows, 2, 1, augment=AugmentSpec((), ()))
    first = next(batches.epoch(0))
    present = first.images.tolist()
    absent = next(image for image in range(3) if image not in present)
    batch = batches.with_negatives(first, np.array([present[0], absent, 5]))
    assert batch.images.tolist() == [*present, absent, 5]
    assert batch.pixels[:, 0, 0, 0].tolist() == [*present, absent, 5]
    assert batch.correct.tolist() == [[True, False, False, False], [False, True, False, False]]
    assert batches.with_negatives(first, first.images) is first


def test_queries_of_steps_are_those_of_their_batches() -> None:
    batches = BatchSampler(split(((0,), (1,), (2,), (3,), (4,))), 2, 1)
    drawn = [
        batch.queries for epoch in range(2) for batch in batches.epoch(epoch)
    ]  # two steps an epoch
    expected = np.unique(np.concatenate(drawn[1:3]))
    np.testing.assert_array_equal(batches.queries_of(1, 2), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((None, 5, None, None), "need --hard-negatives"),
        ((None, None, None, 0.5), "need --hard-negatives"),
        ((2, None, "score,taste", None), "'taste' is not one of score, words, look"),
    ],
)
def test_refuses(
    options: tuple[int | None, int | None, str | None, float | None], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        NegativesSpec.parse(*options)
