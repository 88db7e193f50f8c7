"""Values and protocols that the engine shares with its pipelines and with HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from tusou.bundle.bundle import Bundle
from tusou.encoders.openvino.precision_file import MeasuredPrecision
from tusou.encoders.student.folder import Student
from tusou.indexes.base import IndexServer
from tusou.indexes.item_changes import ChangeableIndex
from tusou.retrieval.item_view import ItemView
from tusou.retrieval.query import Query
from tusou.retrieval.results import RetrievedBatch, TextEmbeddings
from tusou_service.images.query_encoder import ImagePipeline

if TYPE_CHECKING:  # imports pyarrow, which only live changes and attributes need
    from tusou.live.live_items import LiveItems

Arm: TypeAlias = Literal["a", "b"]
EncoderKind: TypeAlias = Literal["teacher", "student"]  # the bundle's model, or a student of it


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The versions served before and after a reload."""

    version: str
    previous: str

    @property
    def changed(self) -> bool:
        """Return whether the reload changed the version."""
        return self.version != self.previous


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The bundle whose items can be changed, and when its changes are compacted."""

    root: Path
    max_log_bytes: int


class Pipeline(ImagePipeline, Protocol):
    """`tusou.retrieval.pipeline.SearchPipeline`, or a small pipeline in tests.

    A pipeline has no `close`: it is freed after the last batch that uses it.
    """

    @property
    def bundle(self) -> Bundle:
        """The bundle that is searched."""

    @property
    def device(self) -> str:
        """The device that encodes queries: cpu, cuda or cuda:N."""

    @property
    def precision(self) -> str:
        """The precision in which queries are encoded: fp32, bf16, fp16 or int8."""

    @property
    def measured(self) -> Sequence[MeasuredPrecision | None]:
        """The measurement of each model by which `auto` chose; None where there was none."""

    @property
    def backend(self) -> str:
        """The backend that encodes queries: torch or openvino."""

    @property
    def student(self) -> Student | None:
        """The student that encodes queries; None where the bundle's model does."""

    @property
    def student_warning(self) -> str | None:
        """The warning that the index was not tuned for the student; None if there is none."""

    @property
    def encoder_name(self) -> str:
        """The name of what encodes queries."""

    @property
    def index_server(self) -> IndexServer | None:
        """The server that searches the index; None where this process does."""

    @property
    def changeable_index(self) -> ChangeableIndex | None:
        """The index, if it is on a server that stores live changes too."""

    def retrieve(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool]
    ) -> RetrievedBatch:
        """Search for a batch of queries. One thread at a time calls it.

        `still_waiting(position)` returns whether a client still waits for that query.
        `RerankCandidates` among the outcomes are reranked elsewhere.
        """

    def encode_texts(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode a batch of texts. The thread that calls `search` calls it."""

    def encode_items(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode a batch of texts as items, without the prompt; called as `encode_texts` is."""

    @property
    def view(self) -> ItemView:
        """The items that are searched, as they are now: with live changes, if any are attached."""

    def attach_live(self, live: "LiveItems") -> None:
        """Search the items with their live changes from now on."""

    def warm_up(self) -> None:
        """Run the slow first passes."""


class PipelineSource(Protocol):
    """Opens pipelines: one version of a bundle each."""

    def current_version(self) -> str:
        """Return the version that `open` would open now; CorruptBundle."""

    def open(self) -> Pipeline:
        """Verify and load the current version; CorruptBundle, IncompatibleBundle."""
