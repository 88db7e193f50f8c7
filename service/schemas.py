"""What goes over the wire, and how a body becomes a request."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from service.errors import MEANINGS, Detail, Refusal
from tusou.errors import InputError, InvalidJson, InvalidRequest, TusouError
from tusou.text import normalize_query
from tusou.types import ItemId

MAX_TOP_K = 1000
MAX_QUERIES = 256
# Listing the errors of a hostile body can cost more than finding them.
_MAX_LISTED = 64

TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, description="How many items to return.")]


class _Request(BaseModel):
    # A duplicate key's last value wins, as in most JSON parsers.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SearchRequest(_Request):
    """One query."""

    query: str = Field(description="What to look for; at most 512 characters.")
    top_k: TopK = 10


class BatchRequest(_Request):
    """Several queries, answered from one version of the index."""

    queries: Annotated[list[str], FailFast(), Field(min_length=1, max_length=MAX_QUERIES)]
    top_k: TopK = 10


class SearchResult(BaseModel):
    """One query's items, best first."""

    item_ids: tuple[ItemId, ...] = Field(description="Fewer than top_k when the pool is smaller.")
    scores: tuple[float, ...] = Field(description="Cosines of the items, descending.")
    truncated: bool = Field(description="The query was longer than the model's context.")


class SearchResponse(SearchResult):
    """The answer to one query."""

    index_version: str
    took_ms: float


class BatchResponse(BaseModel):
    """The answers to a batch, in its order."""

    results: tuple[SearchResult, ...]
    index_version: str
    took_ms: float


class Alive(BaseModel):
    """The process runs."""

    status: str = "alive"


class Ready(BaseModel):
    """The service can answer."""

    status: str = "ready"
    index_version: str


class ReloadResponse(BaseModel):
    """What a reload did."""

    status: str = Field(description="swapped or unchanged")
    index_version: str
    previous_version: str


class Info(BaseModel):
    """What is served."""

    tusou_version: str
    index_version: str
    item_count: int
    precision: str = Field(description="Of the model that encodes queries: fp32, bf16 or fp16.")
    manifest: dict[str, object]


class ProblemDetail(BaseModel):
    """One thing wrong with a request, and where."""

    loc: list[str | int]
    type: str
    detail: str | None = None


class Problem(BaseModel):
    """Any error (RFC 9457); `code` is stable and comes from a closed list."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(json_schema_extra={"enum": [*sorted({cls.code for cls in MEANINGS})]})
    request_id: str
    retry_after_ms: int | None = None
    errors: list[ProblemDetail] | None = None


Body = TypeVar("Body", bound=BaseModel)


def parse(model: type[Body], raw: bytes) -> Body:
    """Read a body strictly: InvalidJson for bad syntax, InvalidRequest for anything else."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> Refusal:
    if error.error_count() > _MAX_LISTED:
        return Refusal(InvalidRequest())
    found = error.errors(include_url=False, include_context=False, include_input=False)
    # A number of thousands of digits is good JSON that no field takes.
    syntax = found[0]["type"] == "json_invalid" and "number out of range" not in found[0]["msg"]
    if syntax:
        return Refusal(InvalidJson())
    return Refusal(
        InvalidRequest(),
        [Detail(("body", *one["loc"]), one["type"], one["msg"]) for one in found],
    )


def normalize_all(queries: Sequence[str]) -> list[str]:
    """Normalise every query; the error is that of the first bad one and lists them all."""
    normal: list[str] = []
    bad: list[tuple[int, InputError]] = []
    for position, query in enumerate(queries):
        try:
            normal.append(normalize_query(query))
        except InputError as error:
            bad.append((position, error))
    if bad:
        raise Refusal(bad[0][1], [_located(position, error) for position, error in bad])
    return normal


def _located(position: int, error: TusouError) -> Detail:
    return Detail(("body", "queries", position), error.code)
