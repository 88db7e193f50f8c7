"""The options of a build, and its report."""

from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.manifest import MAX_PROMPTS, Counts, IndexRecord
from tusou.core.errors import InvalidRequest
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.indexes import faiss_device
from tusou.indexes.milvus_address import MilvusTarget
from tusou.text.prompt import check_prompt
from tusou.text.prompt_file import read_templates
from tusou_indexer.index.request import AUTO, IndexRequest


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """The source, the model and the options of a build."""

    source: str  # a path, with `#split` for one of several splits
    model: str
    index: str = AUTO  # `auto`, `auto:2GB`, `torch` or a FAISS factory string
    device: str = "auto"
    prompt: str | None = None
    max_bad: str = "1%"  # unusable lines to accept: a count, or a share
    workers: int | None = None  # decoding processes; None: one per core
    precision: str = "auto"
    target_recall: float | None = None
    strict_recall: bool = False  # publish no index below the target recall
    prepare: str = "none"  # `upright`, `white`, or both with a comma
    max_megapixels: int = MAX_MEGAPIXELS  # larger images are unusable
    attributes: Path | None = None  # a file of attributes of the items
    reuse: tuple[Path, ...] = ()  # other bundles to take vectors from
    milvus_uri: str | None = None  # of the server, for the index `milvus`
    collection: str | None = None  # the alias of its collections there
    on: str = "local"  # where items are encoded: `local`, or `ray` for a Ray cluster
    ray_address: str | None = None  # HOST:PORT; None or `auto`: the cluster of this machine
    query_bank: str | None = None  # queries by which hubs are corrected: a file, or vectors (.npy)
    hub_k: int | None = None
    hub_alpha: float | None = None
    more_models: tuple[str, ...] = ()  # beside `model`, in an ensemble
    weights: tuple[float, ...] = ()  # of each model in the score; empty: equal ones
    prompt_file: Path | None = None  # templates, in place of `prompt`
    views: str = "none"  # of images: `flip`, `five_crops`, or both with a comma

    @property
    def models(self) -> tuple[str, ...]:
        """The model, or those of an ensemble."""
        return self.model, *self.more_models

    def read_prompts(self) -> tuple[str, ...]:
        """Return the templates of queries; BadDataset and InvalidRequest."""
        if self.prompt_file is None:
            return () if self.prompt is None else (check_prompt(self.prompt),)
        if self.prompt is not None:
            raise InvalidRequest("give --prompt or --prompt-file, not both")
        templates = read_templates(self.prompt_file)
        if len(templates) > MAX_PROMPTS:
            raise InvalidRequest(
                f"{self.prompt_file} has {len(templates)} templates; use at most {MAX_PROMPTS}"
            )
        return templates

    @property
    def index_request(self) -> IndexRequest:
        """The index to build, for the device where the service will search it."""
        target = None
        if self.milvus_uri is not None or self.collection is not None:
            target = MilvusTarget(self.milvus_uri or "", self.collection or "")
        on_gpu = faiss_device(self.device) != "cpu"
        return IndexRequest(self.index, self.target_recall, on_gpu, target)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of a build."""

    bundle: Path
    version: str
    counts: Counts
    index: IndexRecord
    encoded: int  # items that this run encoded itself
    seconds: float

    @property
    def reused(self) -> int:
        """The items whose vectors an earlier run had encoded."""
        return self.counts.embedded - self.encoded
