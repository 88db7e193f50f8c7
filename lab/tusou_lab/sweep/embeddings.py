"""The vectors of queries under the prompts and precisions of a sweep."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.encoders import TextEncoder, Weights, load_text_encoder
from tusou.text.normalize import fill_prompt
from tusou_lab.embedding_cache import KeptVectors, conditions
from tusou_lab.sweep.prompts import Prompt

Load = Callable[[Weights, str, None, str], TextEncoder]


class QueryVectors:
    """Encodes texts under prompts, and remembers across runs what it has encoded."""

    def __init__(
        self,
        folder: Path,
        weights: Weights,
        *,
        watcher: Progress | None = None,
        load: Load = load_text_encoder,
    ) -> None:
        self.kept = KeptVectors(folder, watcher)
        self._weights, self._load = weights, load
        self._encoders: dict[str, TextEncoder] = {}

    def of(self, texts: Sequence[str], prompt: Prompt, precision: str) -> Vectors:
        """Give one unit row per text; of several templates, the mean made a unit again."""
        parts = [self._under(texts, template, precision) for template in prompt.templates]
        if len(parts) == 1:
            return parts[0]
        mean = np.mean(parts, axis=0)
        unit: Vectors = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _under(self, texts: Sequence[str], template: str, precision: str) -> Vectors:
        def encode(missing: Sequence[str]) -> Vectors:
            encoder = self._encoder(precision)
            return encoder.encode(encoder.prepare([fill_prompt(template, one) for one in missing]))

        return self.kept.of(texts, conditions(self._weights.digest, template, precision), encode)

    def _encoder(self, precision: str) -> TextEncoder:
        if precision not in self._encoders:
            self._encoders[precision] = self._load(self._weights, "auto", None, precision)
        return self._encoders[precision]
