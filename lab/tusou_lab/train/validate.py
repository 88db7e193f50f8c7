"""Retrieval metrics of a model on the valid split."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from tusou.evaluation.metrics import KS, JudgedRanking, score
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.pixel_stack import PixelStack

METRICS = ("hit@1", "hit@5", "hit@10", "mean_recall")
_BATCH_SIZE = 256


def validate(model: TrainableModel, split: TrainingSplit, device: torch.device) -> dict[str, float]:
    """Return hit@1, hit@5, hit@10 and their mean by exact search over the split, in percent."""
    scores = score(rank(model, split, device))
    return {name: 100 * scores[name] for name in METRICS}


def rank(model: TrainableModel, split: TrainingSplit, device: torch.device) -> list[JudgedRanking]:
    """Return the ten best images of each query, by exact search over the split."""
    model.network.eval()
    with torch.inference_mode():
        images = torch.cat(
            [normalize(model.encode_images(rows.to(device))) for rows in _batches(split.pixels)]
        )
        queries = torch.cat(
            [normalize(model.encode_texts(rows.to(device))) for rows in _batches(split.tokens)]
        )
        best = (queries @ images.t()).topk(min(KS[-1], len(images))).indices
    return [
        JudgedRanking(ranked, correct.tolist())
        for ranked, correct in zip(best.tolist(), split.correct, strict=True)
    ]


def _batches(rows: PixelStack | NDArray[np.int64]) -> Iterator[Tensor]:
    for start in range(0, len(rows), _BATCH_SIZE):
        yield torch.from_numpy(np.array(rows[start : start + _BATCH_SIZE]))
