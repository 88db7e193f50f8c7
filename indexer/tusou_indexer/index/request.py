"""What index a build is asked for."""

import re
from dataclasses import dataclass

from tusou.core.errors import InvalidRequest
from tusou.indexes import create_index
from tusou.indexes.specs import FaissSpec, TorchSpec

AUTO = "auto"
# Up to here `auto` answers what exact search answers.
EXACT_ITEMS = 200_000
EXACT_RECALL = 0.999
TARGET_RECALL = 0.99

_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_BUDGETED = re.compile(rf"{AUTO}:(\d+(?:\.\d+)?)({'|'.join(_UNITS)})")


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """What index to build."""

    factory: str = AUTO  # or `auto:2GB`, to bound its memory, or a FAISS factory string, or `torch`
    target_recall: float | None = None  # None: 0.999 up to 200,000 items, 0.99 beyond
    on_gpu: bool = False  # where it will be searched; a GPU knows no fast-scan codes

    @property
    def auto(self) -> bool:
        """Tell whether the index is to be chosen."""
        return self.factory.partition(":")[0] == AUTO

    @property
    def memory(self) -> float | None:
        """Bytes that a chosen index may take; None: any number. InvalidRequest if unreadable."""
        if not self.auto or self.factory == AUTO:
            return None
        given = _BUDGETED.fullmatch(self.factory)
        if not given or not float(given[1]):
            raise InvalidRequest(f"--factory {self.factory}: write a budget as {AUTO}:1.5GB")
        return float(given[1]) * _UNITS[given[2]]

    def target(self, count: int) -> float:
        """Return the index_recall@10 to reach for so many items; InvalidRequest if no share."""
        if self.target_recall is None:
            return EXACT_RECALL if self.auto and count <= EXACT_ITEMS else TARGET_RECALL
        if not 0 < self.target_recall <= 1:
            raise InvalidRequest(
                f"--target-recall {self.target_recall:g}: give a share such as 0.95"
            )
        return self.target_recall

    def check(self, dim: int) -> None:
        """Raise InvalidRequest now for what the build would refuse hours later."""
        self.target(0)
        if self.auto:
            _ = self.memory
        elif self.factory != TorchSpec.factory:
            create_index(FaissSpec(self.factory), dim)
