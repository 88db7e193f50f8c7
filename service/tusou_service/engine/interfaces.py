"""Values that the engine returns about itself."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tusou.core.ids import ItemKind
from tusou_service.images.query_encoder import ImageState

Arm: TypeAlias = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did."""

    version: str
    previous: str

    @property
    def changed(self) -> bool:
        """Tell a swap from a bundle that was current already."""
        return self.version != self.previous


@dataclass(frozen=True, slots=True)
class Status:
    """What is served at one moment, and whether traffic should come."""

    ready: bool
    version: str
    item_count: int
    model_name: str
    precision: str
    backend: str
    id_type: Literal["int", "str"]
    items: ItemKind
    images: ImageState
    accepts: tuple[str, ...]  # what a query may hold
