"""The index requested for a build: automatic, torch, on Milvus, or a FAISS factory string."""

import re
from dataclasses import dataclass

from tusou.core.errors import InvalidRequest
from tusou.indexes import create_index
from tusou.indexes.milvus_address import MilvusTarget
from tusou.indexes.specs import FaissSpec, MilvusSpec, TorchSpec

AUTO = "auto"
# Up to this many items, `auto` returns what exact search returns.
EXACT_ITEMS = 200_000
EXACT_RECALL = 0.999
TARGET_RECALL = 0.99

_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_BUDGET = re.compile(rf"{AUTO}:(\d+(?:\.\d+)?)({'|'.join(_UNITS)})")


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """The index to build."""

    index: str = AUTO  # `auto`, `auto:2GB` (at most that much memory), `torch`, FAISS factory
    target_recall: float | None = None  # None: 0.999 up to 200,000 items, 0.99 beyond
    on_gpu: bool = False  # where it will be searched; GPUs have no fast-scan codes
    milvus: MilvusTarget | None = None  # where `milvus` is

    @property
    def name(self) -> str:
        """The index as the manifest records it."""
        return self.index if self.milvus is None else f"{self.index} {self.milvus.name}"

    @property
    def auto(self) -> bool:
        """Return whether the index is chosen by measurement."""
        return self.index.partition(":")[0] == AUTO

    @property
    def memory(self) -> float | None:
        """Bytes that a chosen index may take, or None; InvalidRequest if it is not a size."""
        if not self.auto or self.index == AUTO:
            return None
        budget = _BUDGET.fullmatch(self.index)
        if not budget or not float(budget[1]):
            raise InvalidRequest(f"--index {self.index}: write a budget as {AUTO}:1.5GB")
        return float(budget[1]) * _UNITS[budget[2]]

    def target(self, count: int) -> float:
        """Return the index_recall@10 to reach for `count` items; InvalidRequest if not a share."""
        if self.target_recall is None:
            return EXACT_RECALL if self.auto and count <= EXACT_ITEMS else TARGET_RECALL
        if not 0 < self.target_recall <= 1:
            raise InvalidRequest(
                f"--target-recall {self.target_recall:g}: give a share such as 0.95"
            )
        return self.target_recall

    def check(self, dim: int, items: int | None = None) -> None:
        """Raise InvalidRequest for an index that cannot be built, before anything is encoded.

        `items` is the number of items, once it is known.
        """
        self.target(0)
        if (self.index == MilvusSpec.factory) != (self.milvus is not None):
            raise InvalidRequest(
                "--index milvus, --milvus-uri http://host:19530 and --collection NAME belong "
                "together; give all three or none"
            )
        if self.milvus is not None:
            self.milvus.check()
        elif self.auto:
            _ = self.memory
        elif self.index != TorchSpec.factory:
            least = create_index(FaissSpec(self.index), dim).min_items
            if items is not None and items < least:
                raise InvalidRequest(
                    f"--index {self.index} is trained on {least:,} items or more, and there are "
                    f"{items:,}; choose auto, Flat or a smaller index"
                )
