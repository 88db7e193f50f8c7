"""How well a model finds a split's answers."""

from collections.abc import Iterator

import numpy as np
import torch
from cn_clip.clip.model import CLIP
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from tusou.encoders.torch.encoder import to_input
from tusou.evaluation.metrics import KS, Judged, score
from tusou_lab.train.data import Split

_ROWS = 256


def mean_recall(model: CLIP, split: Split, device: torch.device) -> float:
    """Average hit@1, hit@5 and hit@10 over the split, searched exactly; in percent."""
    model.eval()
    with torch.inference_mode():
        images = torch.cat(
            [
                normalize(model.encode_image(to_input(rows.to(device))))
                for rows in _parts(split.pixels)
            ]
        )
        queries = torch.cat(
            [normalize(model.encode_text(rows.to(device))) for rows in _parts(split.tokens)]
        )
        best = (queries @ images.t()).topk(min(KS[-1], len(images))).indices
    judged = [
        Judged(ranked, answers.tolist())
        for ranked, answers in zip(best.tolist(), split.answers, strict=True)
    ]
    return 100 * score(judged)["mean_recall"]


def _parts(rows: NDArray[np.uint8] | NDArray[np.int64]) -> Iterator[Tensor]:
    for start in range(0, len(rows), _ROWS):
        yield torch.from_numpy(np.array(rows[start : start + _ROWS]))
