"""POST /search, POST /search/image and POST /search/batch."""

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Query as QueryParameter

from tusou.core.errors import BadImage, Unavailable, UnknownItem
from tusou.retrieval.query import Query
from tusou.text.negation import UnderstoodQuery
from tusou_service.engine.batch_runner import Found
from tusou_service.http.dependencies import (
    IMAGE_REQUEST_BODY,
    QUERY_REFUSALS,
    DeadlineDep,
    EngineDep,
    json_body,
    json_request_body,
)
from tusou_service.http.errors import error_responses
from tusou_service.http.query_builder import build_query, check_reach
from tusou_service.http.schemas import (
    BatchRequest,
    BatchResponse,
    ImageSearchParameters,
    InterpretedQuery,
    SearchRequest,
    SearchResponse,
    SearchResult,
    normalize_all,
)
from tusou_service.logging_config import MAX_QUERY_CHARS

router = APIRouter(tags=["search"])
_log = logging.getLogger(__name__)

_ASKED = error_responses(*QUERY_REFUSALS, BadImage, UnknownItem, Unavailable)


@router.post(
    "/search",
    responses=_ASKED,
    response_model_exclude_none=True,
    openapi_extra=json_request_body(SearchRequest),
)
async def search(
    request: Request,
    body: Annotated[SearchRequest, Depends(json_body(SearchRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> SearchResponse:
    """Find the products whose images best match a sentence, an image, an item, or a mixture."""
    started = perf_counter()
    ask, understood = await build_query(body, engine, deadline)
    (found,) = await engine.search([ask], deadline)
    _trace(request, ask.texts)
    return _response(found, started, body.index_version, understood)


@router.post(
    "/search/image",
    responses=_ASKED,
    response_model_exclude_none=True,
    openapi_extra=IMAGE_REQUEST_BODY,
)
async def search_image(
    request: Request,
    page: Annotated[ImageSearchParameters, QueryParameter()],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> SearchResponse:
    """Find the products that look like an image, which is the whole body."""
    started = perf_counter()
    check_reach(page.top_k, page.offset)
    seen = await engine.see(await request.body(), deadline)
    (found,) = await engine.search([Query((seen,), page.top_k, page.offset)], deadline)
    return _response(found, started)


@router.post(
    "/search/batch",
    responses=error_responses(*QUERY_REFUSALS),
    openapi_extra=json_request_body(BatchRequest),
)
async def search_batch(
    request: Request,
    body: Annotated[BatchRequest, Depends(json_body(BatchRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> BatchResponse:
    """Answer up to 256 queries, all from one version of the index."""
    started = perf_counter()
    queries = list(normalize_all(dict(enumerate(body.queries)), "queries").values())
    asks = [Query.of_text(query, body.top_k) for query in queries]
    found = await engine.search(asks, deadline)
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


def _response(
    found: Found,
    started: float,
    known_version: str | None = None,
    understood: UnderstoodQuery | None = None,
) -> SearchResponse:
    changed = known_version is not None and known_version != found.version
    return SearchResponse(
        item_ids=found.hits.item_ids,
        scores=found.hits.scores,
        truncated=found.hits.truncated,
        index_version=found.version,
        took_ms=_took_ms(started),
        interpreted=InterpretedQuery(
            positive=understood.positive, negative="、".join(understood.refused)
        )
        if understood
        else None,
        version_changed=True if changed else None,
    )


def _took_ms(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)


def _trace(request: Request, queries: Sequence[str]) -> None:
    """Log what was asked, at debug level alone: queries are their users' business."""
    if _log.isEnabledFor(logging.DEBUG):
        cut = [query[:MAX_QUERY_CHARS] for query in queries]
        fields = {"request_id": request.state.request_id, "queries": cut}
        _log.debug("searched", extra={"fields": fields})
