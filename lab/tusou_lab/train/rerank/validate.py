"""Retrieval metrics of the valid split's candidates in the order of a cross-encoder."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tusou.encoders.cross.network import CrossNetwork
from tusou.evaluation.metrics import JudgedRanking, score
from tusou_lab.train.rerank.data import Positions, RerankSplit, pad_texts
from tusou_lab.train.validate import METRICS

DEPTH = 50  # candidates of a query that are ordered again, as at search
_BATCH = 4  # queries scored together
# Factors of the cosine's scale that are tried: among the sampled candidates of training a cosine
# says less than in a whole ranking. With a large factor the order is that of the cosines.
_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True, slots=True)
class ValidatedScale:
    """The best scale of the cosine on valid, and the metrics with it in percent."""

    scale: float
    center: float  # the mean cosine of the candidates
    percent: dict[str, float]


def validate_reranking(
    network: CrossNetwork, split: RerankSplit, device: torch.device
) -> ValidatedScale:
    """Return hit@1, hit@5, hit@10 and their mean after ordering again, with the best scale.

    Of equally good scales, the smallest is chosen.
    """
    network.eval()
    candidates = split.candidates[:, :DEPTH]
    queries = np.arange(len(candidates))
    cosines = split.cosines(queries, candidates)
    judged = []
    for start in range(0, len(candidates), _BATCH):
        part = queries[start : start + _BATCH]
        with torch.inference_mode():
            logits = judge_groups(network, split, part, candidates[part], device)
        judged.append(logits.cpu().numpy())
    head = np.concatenate(judged)
    tried = [network.scale.item() * factor for factor in _FACTORS]
    scored = [(_percent(_ordered(candidates, s * cosines + head), split), s) for s in tried]
    percent, scale = max(scored, key=lambda pair: pair[0]["mean_recall"])
    return ValidatedScale(scale, float(cosines.mean()), percent)


def validate_cosines(split: RerankSplit) -> dict[str, float]:
    """Return the same metrics before ordering again."""
    return _percent(split.candidates[:, :DEPTH], split)


def judge_groups(
    network: CrossNetwork,
    split: RerankSplit,
    queries: Positions,
    images: Positions,
    device: torch.device,
) -> torch.Tensor:
    """Return the head's part of the logits (q, c) of queries (q,) and their images (q, c)."""
    text, mask = pad_texts([split.text_tokens[query] for query in queries.tolist()])
    tokens = torch.from_numpy(split.image_tokens[images]).to(device).float()
    return network.judge(
        network.project_text(text.to(device)), network.project_images(tokens), mask
    )


def _ordered(candidates: Positions, logits: NDArray[np.float32]) -> Positions:
    order = np.argsort(-logits, axis=1, kind="stable")
    return np.take_along_axis(candidates, order, 1)


def _percent(ranked: Positions, split: RerankSplit) -> dict[str, float]:
    judged = [
        JudgedRanking(row, correct.tolist())
        for row, correct in zip(ranked.tolist(), split.correct, strict=True)
    ]
    scores = score(judged)
    return {name: 100 * scores[name] for name in METRICS}
