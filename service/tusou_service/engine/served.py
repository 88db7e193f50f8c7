"""What the service asks of a pipeline, its bundle, and the source of both."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel

from tusou.core.arrays import Pixels
from tusou.core.ids import ItemKind
from tusou.retrieval.query import Query, VectorPart
from tusou.retrieval.results import SearchResults, TextEmbeddings


class ServedBundle(Protocol):
    """What the service asks of a bundle beside searching it."""

    @property
    def version(self) -> str:
        """Name what answers are computed from."""
        ...

    @property
    def item_count(self) -> int:
        """Count the items that can be found."""
        ...

    @property
    def model_name(self) -> str:
        """Name the model that encodes queries."""
        ...

    @property
    def id_type(self) -> Literal["int", "str"]:
        """Say what item ids are in JSON."""
        ...

    @property
    def items(self) -> ItemKind:
        """Say what the items are."""
        ...

    @property
    def manifest(self) -> BaseModel:
        """Say how the bundle was made."""
        ...

    def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an image's bytes and content type; UnknownItem."""
        ...

    def text(self, item_id: str) -> str | None:
        """Return an item's text, or None where items are images; UnknownItem."""
        ...


class Pipeline(Protocol):
    """What the engine runs: `tusou.retrieval.pipeline.SearchPipeline`, or a small one in tests.

    Nothing closes one: it goes when the last batch that uses it lets go.
    """

    @property
    def bundle(self) -> ServedBundle:
        """What is searched."""
        ...

    @property
    def precision(self) -> str:
        """In which precision queries are encoded."""
        ...

    @property
    def backend(self) -> str:
        """What encodes them: torch or openvino."""
        ...

    @property
    def image_size(self) -> int:
        """The side of the images that `encode_images` takes."""
        ...

    @property
    def image_tower_loaded(self) -> bool:
        """Tell whether the image tower is loaded."""
        ...

    def load_image_tower(self) -> None:
        """Load what `encode_images` needs."""
        ...

    def search(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool]
    ) -> SearchResults:
        """Answer a batch; called by one thread at a time.

        `still_waiting` returns whether a caller still waits for the query at a position.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode a batch of texts; called by the thread of `search`."""
        ...

    def encode_images(self, pixels: Pixels) -> list[VectorPart]:
        """Encode a batch of images; called by one thread at a time, which may be another."""
        ...

    def release_memory(self) -> None:
        """Give back what the device's allocator keeps for later."""
        ...

    def warm_up(self) -> None:
        """Make the first real query as fast as the next."""
        ...


class Source(Protocol):
    """Where pipelines come from."""

    def current_version(self) -> str:
        """Name the version that `open` would open now."""
        ...

    def open(self) -> Pipeline:
        """Verify and load the current version; CorruptBundle, IncompatibleBundle."""
        ...
