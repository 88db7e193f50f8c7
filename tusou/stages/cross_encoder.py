"""Reranking by a cross-encoder, which reads the tokens of the query and of each image."""

from collections.abc import Iterator
from time import monotonic
from typing import Self

import numpy as np

from tusou.bundle.stages import CROSS_ENCODER, IMAGE_TOKENS, RerankRecord
from tusou.bundle.vector_file import VectorFile
from tusou.core.errors import BadModel, IncompatibleBundle
from tusou.encoders.cross.base import CrossEncoder, open_cross_encoder
from tusou.stages.base import RerankTask, ScoredPart, StageContext
from tusou.stages.item_tokens import HALF_TYPE, ItemTokens

_WARM_UP_TEXT = "纯棉碎花吊带裙"
_COMPUTED_TOGETHER = 2  # images: a deadline is looked at between these


class CrossEncoderReranker:
    """Scores images in rounds of one pass for each core, until the deadline.

    Queries without a text have no scores, and items keep their places.
    """

    threads = 1  # a call uses every core

    def __init__(self, encoder: CrossEncoder, tokens: ItemTokens, record: RerankRecord) -> None:
        self._encoder, self._tokens = encoder, tokens
        self.depth, self.weight = record.depth, record.weight
        self.seconds = record.deadline_ms / 1000

    @classmethod
    def open(cls, context: StageContext, record: RerankRecord) -> Self:
        """Open the version's cross-encoder, and the file of its tokens if they are stored."""
        bundle = context.bundle
        path = bundle.path(CROSS_ENCODER)
        try:
            encoder = open_cross_encoder(path, context.weights.members, context.device)
        except BadModel as error:
            raise IncompatibleBundle(
                f"{bundle.folder}: {error}, or take the stage away with `tusou stages --no rerank`"
            ) from None
        stored = None
        if IMAGE_TOKENS in bundle.manifest.files:
            size = (bundle.item_count, encoder.shape.numbers_per_item)
            stored = VectorFile(bundle.path(IMAGE_TOKENS), size, HALF_TYPE)
        return cls(encoder, ItemTokens(encoder, stored), record)

    def score(self, task: RerankTask, deadline: float) -> Iterator[ScoredPart]:
        if not task.texts:
            return
        text = self._encoder.encode_text(" ".join(task.texts))
        start = 0
        while start < len(task.keys) and monotonic() < deadline:
            size = self._part_size(task.keys[start:])
            part = slice(start, start + size)
            positions, rows = self._tokens.rows(task.keys[part], task.items)
            if positions:
                scores = self._encoder.score(text, rows, task.cosines[part][positions])
                yield [start + position for position in positions], scores.tolist()
            start += size

    def _part_size(self, keys: tuple[int, ...]) -> int:
        """Return how many of the next items to score together: few where tokens are computed."""
        size = self._encoder.round_size
        ready = all(map(self._tokens.ready, keys[:size]))
        return size if ready else _COMPUTED_TOGETHER

    def warm_up(self) -> None:
        text = self._encoder.encode_text(_WARM_UP_TEXT)
        size = self._encoder.round_size
        rows = np.zeros((size, self._encoder.shape.numbers_per_item), HALF_TYPE)
        self._encoder.score(text, rows, np.zeros(size, np.float32))
