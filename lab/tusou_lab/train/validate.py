"""Retrieval metrics of a model on the valid split."""

import numpy as np
import torch

from tusou.evaluation.metrics import KS, JudgedRanking, score
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.split_vectors import encode_images, encode_texts

METRICS = ("hit@1", "hit@5", "hit@10", "mean_recall")


def validate(model: TrainableModel, split: TrainingSplit, device: torch.device) -> dict[str, float]:
    """Return hit@1, hit@5, hit@10 and their mean by exact search over the split, in percent."""
    scores = score(rank(model, split, device))
    return {name: 100 * scores[name] for name in METRICS}


def rank(model: TrainableModel, split: TrainingSplit, device: torch.device) -> list[JudgedRanking]:
    """Return the ten best images of each query, by exact search over the split."""
    images = encode_images(model, split.pixels, np.arange(len(split.pixels)), device)
    queries = encode_texts(model, split.tokens, device)
    best = (queries @ images.t()).topk(min(KS[-1], len(images))).indices
    return [
        JudgedRanking(ranked, correct.tolist())
        for ranked, correct in zip(best.tolist(), split.correct, strict=True)
    ]
