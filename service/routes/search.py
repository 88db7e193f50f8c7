"""POST /search and POST /search/batch."""

import logging
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType, documented
from service.logs import MAX_QUERY_CHARS
from service.routes.state import DeadlineDep, EngineDep, body_of, takes
from service.schemas import (
    BatchRequest,
    BatchResponse,
    SearchRequest,
    SearchResponse,
    SearchResult,
    normalize_all,
)
from tusou.errors import (
    DeadlineExceeded,
    EmptyQuery,
    InvalidJson,
    InvalidRequest,
    NotReady,
    Overloaded,
    QueryTooLong,
    RateLimited,
)
from tusou.text import normalize_query

router = APIRouter(tags=["search"])
_log = logging.getLogger(__name__)

_RESPONSES = documented(
    InvalidJson,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    EmptyQuery,
    QueryTooLong,
    InvalidRequest,
    RateLimited,
    Overloaded,
    NotReady,
    DeadlineExceeded,
)


@router.post("/search", responses=_RESPONSES, openapi_extra=takes(SearchRequest))
async def search(
    request: Request,
    body: Annotated[SearchRequest, Depends(body_of(SearchRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> SearchResponse:
    """Find the products whose pictures best match a Chinese sentence."""
    started = perf_counter()
    query = normalize_query(body.query)
    (found,) = await engine.search([query], body.top_k, deadline)
    _trace(request, [query])
    return SearchResponse(
        item_ids=found.hits.item_ids,
        scores=found.hits.scores,
        truncated=found.hits.truncated,
        index_version=found.version,
        took_ms=_took_ms(started),
    )


@router.post("/search/batch", responses=_RESPONSES, openapi_extra=takes(BatchRequest))
async def search_batch(
    request: Request,
    body: Annotated[BatchRequest, Depends(body_of(BatchRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> BatchResponse:
    """Answer up to 256 queries, all from one version of the index."""
    started = perf_counter()
    queries = normalize_all(body.queries)
    found = await engine.search(queries, body.top_k, deadline)
    _trace(request, queries)
    return BatchResponse(
        results=tuple(
            SearchResult(
                item_ids=one.hits.item_ids, scores=one.hits.scores, truncated=one.hits.truncated
            )
            for one in found
        ),
        index_version=found[0].version,
        took_ms=_took_ms(started),
    )


def _took_ms(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)


def _trace(request: Request, queries: list[str]) -> None:
    """Log what was asked, at debug level alone: queries are their users' business."""
    if _log.isEnabledFor(logging.DEBUG):
        cut = [query[:MAX_QUERY_CHARS] for query in queries]
        fields = {"request_id": request.state.request_id, "queries": cut}
        _log.debug("searched", extra={"fields": fields})
