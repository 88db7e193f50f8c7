"""Hard negatives: wrong images that the current model finds similar to a query."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tusou.core.errors import InvalidRequest
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.identities import PairIdentities, Positions
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.shared_words import SharedWords
from tusou_lab.train.split_vectors import encode_images, encode_texts

SOURCES = ("score", "words", "look")
_MAX_IMAGES = 20_000  # that are searched at once; of a larger split, others each time
_SHARING = 64  # images of a query that share its rarest words
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class NegativesSpec:
    """The settings of hard negatives."""

    hard_negatives: int = 0  # images for each query of a batch
    mine_every: int = 0  # steps of the optimiser; 0: an epoch
    mine_by: tuple[str, ...] = SOURCES
    negative_ceiling: float = 0.95  # of the score of the query's correct image

    @classmethod
    def parse(
        cls, count: int | None, every: int | None, by: str | None, ceiling: float | None
    ) -> Self:
        """Take options, None for the default; InvalidRequest."""
        if not count and (every or by or ceiling is not None):
            raise InvalidRequest(
                "--mine-every, --mine-by and --negative-ceiling need --hard-negatives."
            )
        default = cls()
        names = default.mine_by if by is None else tuple(name.strip() for name in by.split(","))
        for name in names:
            if name not in SOURCES:
                raise InvalidRequest(f"--mine-by: {name!r} is not one of {', '.join(SOURCES)}")
        return cls(
            count or 0,
            every or 0,
            tuple(name for name in SOURCES if name in names),
            default.negative_ceiling if ceiling is None else ceiling,
        )


class HardNegatives(nn.Module):
    """The table of mined images, (queries, k), -1 where there are fewer: part of a run's state."""

    def __init__(self, queries: int, count: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((queries, count), -1, dtype=torch.int32))
        self.register_buffer("mined_at", torch.full((), -1, dtype=torch.int64))

    def is_due(self, batch: int, every: int) -> bool:
        """Return whether negatives must be mined before a batch, given by its number in the run."""
        return int(self.get_buffer("mined_at")) != batch - batch % every

    def replace(self, queries: Positions, images: Positions, batch: int) -> None:
        """Set the images of some queries (n, k), mined before a batch, and forget all others."""
        table = self.get_buffer("table")
        table.fill_(-1)
        table[torch.from_numpy(queries)] = torch.from_numpy(images.astype(np.int32)).to(
            table.device
        )
        self.get_buffer("mined_at").fill_(batch)

    def of(self, queries: Positions) -> Positions:
        """Return the images of some queries, ascending, each once."""
        images = np.unique(self.get_buffer("table").cpu().numpy()[queries]).astype(np.int64)
        return images[images >= 0]


class NegativeMiner:
    """Searches the images of a split with the current model for wrong ones near to each query.

    The candidates are, in turn, those with the best scores (`score`), the best of those that
    share the query's rarest words (`words`), and those nearest to its correct image (`look`).
    A candidate with a score above the ceiling, a share of the score of the query's correct image,
    is left out: it is likely to be a correct one that nobody has marked.
    """

    def __init__(
        self,
        model: TrainableModel,
        split: TrainingSplit,
        identities: PairIdentities,
        spec: NegativesSpec,
        seed: int,
        device: torch.device,
    ) -> None:
        self._model, self._split, self._identities = model, split, identities
        self._spec, self._seed, self._device = spec, seed, device
        if "words" in spec.mine_by:
            self._words = SharedWords(split.texts, split.correct)

    def mine(self, queries: Positions, batch: int) -> Positions:
        """Return the negatives of queries, (n, k), -1 where there are fewer.

        Another number of a batch samples other images of a large split.
        """
        images = self._choose_images(queries, batch)
        vectors = encode_images(self._model, self._split.pixels, images, self._device)
        texts = encode_texts(self._model, self._split.tokens[queries], self._device)
        mined = np.full((len(queries), self._spec.hard_negatives), -1, np.int64)
        for start in range(0, len(queries), _BLOCK):
            rows = slice(start, start + _BLOCK)
            for row, positions in enumerate(
                self._search(queries[rows], texts[rows], images, vectors), start
            ):
                mined[row, : len(positions)] = images[positions]
        return mined

    def _choose_images(self, queries: Positions, batch: int) -> Positions:
        """Return the images to search: all, or a sample, and a correct one of each query."""
        count = len(self._split.pixels)
        if count <= _MAX_IMAGES:
            return np.arange(count)
        rng = np.random.default_rng([self._seed, batch])
        sample = rng.choice(count, _MAX_IMAGES, replace=False)
        own = [self._split.correct[query][0] for query in queries.tolist()]
        return np.union1d(sample, own)

    def _search(
        self, queries: Positions, texts: Tensor, images: Positions, vectors: Tensor
    ) -> Iterator[Positions]:
        """Yield the places in `images` of the negatives of each query."""
        correct = torch.from_numpy(self._identities.are_correct(queries, images)).to(texts.device)
        scores = texts @ vectors.t()
        share = correct.float() / correct.sum(dim=1, keepdim=True)
        own_score = (scores * share).sum(dim=1, keepdim=True)
        # With a ceiling of 0.95 a negative score of the correct image is lowered too.
        ceiling = own_score - (1 - self._spec.negative_ceiling) * own_score.abs()
        allowed = ~correct & (scores <= ceiling)
        by_source = {"score": scores, "look": share @ vectors @ vectors.t()}
        if "words" in self._spec.mine_by:
            sharing = torch.from_numpy(self._mask_sharing(queries, images)).to(texts.device)
            by_source["words"] = scores.masked_fill(~sharing, -torch.inf)
        count = min(self._spec.hard_negatives, len(images))
        best = [
            by_source[name].masked_fill(~allowed, -torch.inf).topk(count)
            for name in self._spec.mine_by
        ]
        ranked = [
            [
                row[:end]
                for row, end in zip(
                    top.indices.tolist(), top.values.isfinite().sum(dim=1).tolist(), strict=True
                )
            ]
            for top in best
        ]
        for lists in zip(*ranked, strict=True):
            in_turn = chain.from_iterable(zip_longest(*lists))
            candidates = list(dict.fromkeys(place for place in in_turn if place is not None))
            yield np.array(candidates[:count], np.int64)

    def _mask_sharing(self, queries: Positions, images: Positions) -> NDArray[np.bool_]:
        place_of = {image: place for place, image in enumerate(images.tolist())}
        mask = np.zeros((len(queries), len(images)), np.bool_)
        for row, query in enumerate(queries.tolist()):
            sharing = self._words.find(query, _SHARING).tolist()
            mask[row, [place_of[image] for image in sharing if image in place_of]] = True
        return mask
