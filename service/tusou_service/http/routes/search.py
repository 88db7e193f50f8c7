"""POST /search, POST /search/image and POST /search/batch."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as QueryParameter

from tusou.core.errors import BadImage, InputError, Unavailable, UnknownItem
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.attribute_fields import attribute_options, filter_cost
from tusou_service.http.dependencies import (
    IMAGE_REQUEST_BODY,
    QUERY_ERRORS,
    DeadlineDep,
    EngineDep,
    charge_queries,
    json_body,
    json_request_body,
)
from tusou_service.http.errors import error_responses, query_problem
from tusou_service.http.list_responses import list_response
from tusou_service.http.query_builder import (
    build_query,
    check_batch_size,
    check_page,
    normalize_each,
    raise_errors,
)
from tusou_service.http.request_models import (
    BatchRequest,
    ImageSearchParameters,
    SearchRequest,
)
from tusou_service.http.schemas import (
    BatchResponse,
    FacetValue,
    InterpretedQuery,
    QueryFailure,
    QueryProblem,
    SearchResponse,
    SearchResult,
)
from tusou_service.http.stage_fields import stage_options, stage_scores
from tusou_service.logging_config import MAX_QUERY_CHARS

router = APIRouter(tags=["search"])
_log = logging.getLogger(__name__)

_RESPONSES = error_responses(*QUERY_ERRORS, BadImage, UnknownItem, Unavailable)


@router.post(
    "/search",
    responses=_RESPONSES,
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
    charge_queries(request, 1 + filter_cost(body.filter))
    await _reach_version(engine, body.index_version, deadline)
    query = await build_query(body, body.image, engine, deadline)
    return await _search_one(request, query, body.index_version, engine, deadline, started)


@router.post(
    "/search/image",
    responses=_RESPONSES,
    response_model_exclude_none=True,
    openapi_extra=IMAGE_REQUEST_BODY,
)
async def search_image(
    request: Request,
    parameters: Annotated[ImageSearchParameters, QueryParameter()],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> SearchResponse:
    """Find the products that look like the image in the body; options as for POST /search."""
    started = perf_counter()
    charge_queries(request, 1 + filter_cost(parameters.filter))
    await _reach_version(engine, parameters.index_version, deadline)
    image = await request.body()
    query = await build_query(parameters, image, engine, deadline, "query")
    return await _search_one(request, query, parameters.index_version, engine, deadline, started)


@router.post(
    "/search/batch",
    responses=error_responses(*QUERY_ERRORS),
    response_model=BatchResponse,
    openapi_extra=json_request_body(BatchRequest),
)
async def search_batch(
    request: Request,
    body: Annotated[BatchRequest, Depends(json_body(BatchRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> Response:
    """Answer up to 256 queries, all from one version of the index."""
    started = perf_counter()
    charge_queries(request, len(body.queries) + filter_cost(body.filter))
    check_page(body.top_k, body.offset)
    check_batch_size(len(body.queries), body.top_k, len(body.fields or ()))
    await _reach_version(engine, body.index_version, deadline)
    texts = normalize_each(dict(enumerate(body.queries)), "queries")
    if not body.partial:
        raise_errors(texts.values())
    exclude = frozenset(map(str, body.exclude))
    options = attribute_options(body, engine, "body") | stage_options(body)
    queries = [
        Query.of_text(text, body.top_k, body.offset, exclude, interpret=body.interpret)
        for text in texts.values()
        if isinstance(text, str)
    ]
    if options:
        queries = [replace(query, **options) for query in queries]
    version = engine.pipeline.view.index_version
    searched = await engine.search_each(queries, deadline) if queries else []
    if not body.partial:
        raise_errors(searched)
    _log_queries(request, [text for text in texts.values() if isinstance(text, str)])
    outcomes = zip(queries, searched, strict=True)
    results = (
        _failure(text) if isinstance(text, InputError) else _outcome(*next(outcomes))
        for text in texts.values()
    )
    first = next((hits for hits in searched if isinstance(hits, Hits)), None)
    fields = _answer_fields(first.index_version if first else version, body.index_version, started)
    if first and options:
        fields |= _filter_counts(queries[0], first)  # the same for all queries
    return await list_response(BatchResponse(results=(), **fields), "results", results)


async def _reach_version(engine: SearchEngine, known_version: str | None, deadline: float) -> None:
    """Serve the version that the client knows, if it is a newer one; NotReady."""
    if known_version is not None and known_version != engine.pipeline.bundle.version:
        await engine.newer_versions.reach(known_version, deadline)


async def _search_one(
    request: Request,
    query: Query,
    known_version: str | None,
    engine: SearchEngine,
    deadline: float,
    started: float,
) -> SearchResponse:
    (hits,) = await engine.search([query], deadline)
    _log_queries(request, query.texts)
    return SearchResponse(
        **_result_fields(query, hits),
        **_filter_counts(query, hits),
        **_answer_fields(hits.index_version, known_version, started),
    )


def _outcome(query: Query, outcome: Hits | InputError) -> SearchResult | QueryFailure:
    if isinstance(outcome, InputError):
        return _failure(outcome)
    return SearchResult(**_result_fields(query, outcome))


def _failure(error: InputError) -> QueryFailure:
    return QueryFailure(problem=QueryProblem.model_validate(query_problem(error)))


def _result_fields(query: Query, hits: Hits) -> dict[str, Any]:
    interpreted = None
    if query.understood:
        refused = "、".join(query.understood.refused)
        interpreted = InterpretedQuery(positive=query.understood.positive, negative=refused)
    fields: dict[str, Any] = {
        "item_ids": hits.item_ids,
        "scores": hits.scores,
        "truncated": hits.truncated,
        "interpreted": interpreted,
        "unknown_share": round(hits.unknown_share, 2) or None,
        **stage_scores(query, hits),
    }
    if query.fields:
        fields["attributes"] = hits.attributes
    if query.distinct or query.collapse:
        fields["others"] = hits.others
    return fields


def _filter_counts(query: Query, hits: Hits) -> dict[str, Any]:
    """Return the fields about all items that pass the filter, if there are any."""
    if query.filter is None and not query.facets:
        return {}
    facets = {
        name: [FacetValue(value=value, count=count) for value, count in counts]
        for name, counts in hits.facets.items()
    }
    return {"facets": facets or None, "matching_items": hits.matching_items}


def _answer_fields(version: str, known: str | None, started: float) -> dict[str, Any]:
    return {
        "index_version": version,
        "took_ms": round((perf_counter() - started) * 1000, 3),
        "version_changed": True if known is not None and known != version else None,
    }


def _log_queries(request: Request, queries: Sequence[str]) -> None:
    """Log the queries at debug level only: they are private."""
    if _log.isEnabledFor(logging.DEBUG):
        cut = [query[:MAX_QUERY_CHARS] for query in queries]
        fields = {"request_id": request.state.request_id, "queries": cut}
        _log.debug("searched", extra={"fields": fields})
