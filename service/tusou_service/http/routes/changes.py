"""PUT, PATCH and DELETE /items/{item_id}, POST /items/batch and POST /items/delete."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from tusou.attributes.filters import parse_filter
from tusou.bundle.item_etag import parse_if_match
from tusou.core.errors import (
    BadImage,
    PreconditionFailed,
    StorageFull,
    TusouError,
    Unavailable,
    UnknownItem,
)
from tusou.core.ids import ItemId
from tusou.live.operations import Batch, Delete, Operation, Patch
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.change_builder import build_operations, build_upsert
from tusou_service.http.change_models import (
    ChangedItem,
    ChangeResponse,
    ChangesRequest,
    ChangesResponse,
    DeletedResponse,
    DeleteRequest,
    FailedChange,
    ItemRequest,
    PatchRequest,
)
from tusou_service.http.dependencies import (
    QUERY_ERRORS,
    DeadlineDep,
    EngineDep,
    charge_queries,
    json_body,
    json_request_body,
)
from tusou_service.http.errors import LiveOff, error_responses, query_problem
from tusou_service.http.routes.items import ItemIdParameter
from tusou_service.http.schemas import QueryProblem

if TYPE_CHECKING:  # imports pyarrow, which only live changes and attributes need
    from tusou.live.staging import ChangeOutcome
    from tusou_service.engine.live_changes import LiveChanges

router = APIRouter(tags=["changes"])

_ERRORS = (*QUERY_ERRORS, LiveOff, StorageFull, Unavailable)
IfMatchHeader = Annotated[
    list[str] | None,
    Header(
        alias="If-Match",
        description="ETags of which the item must have one, or * for any.",
        examples=[['"e9ef43ae49b179c9299a169dbbfdca0a"']],
    ),
]


@router.put(
    "/items/{item_id:path}",
    responses=error_responses(*_ERRORS, BadImage, PreconditionFailed),
    openapi_extra=json_request_body(ItemRequest),
)
async def put_item(
    item_id: ItemIdParameter,
    body: Annotated[ItemRequest, Depends(json_body(ItemRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
    response: Response,
    if_match: IfMatchHeader = None,
) -> ChangeResponse:
    """Add an item, or put it in place of the one with its id; the next search finds it."""
    changes = _changes(engine)
    operation = await build_upsert(item_id, body, engine, deadline, _etags(if_match))
    return await _apply_one(operation, changes, engine, deadline, response)


@router.patch(
    "/items/{item_id:path}",
    responses=error_responses(*_ERRORS, UnknownItem, PreconditionFailed),
    openapi_extra=json_request_body(PatchRequest),
)
async def patch_item(
    item_id: ItemIdParameter,
    body: Annotated[PatchRequest, Depends(json_body(PatchRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
    response: Response,
    if_match: IfMatchHeader = None,
) -> ChangeResponse:
    """Change attributes of an item; those not named stay as they are."""
    changes = _changes(engine)
    operation = Patch(item_id, body.attributes, _etags(if_match))
    return await _apply_one(operation, changes, engine, deadline, response)


@router.delete(
    "/items/{item_id:path}",
    responses=error_responses(*_ERRORS, PreconditionFailed),
    response_model_exclude_none=True,
)
async def delete_item(
    item_id: ItemIdParameter,
    engine: EngineDep,
    deadline: DeadlineDep,
    response: Response,
    if_match: IfMatchHeader = None,
) -> ChangeResponse:
    """Remove an item; status absent if there is none of this id."""
    changes = _changes(engine)
    operation = Delete(item_id, _etags(if_match))
    return await _apply_one(operation, changes, engine, deadline, response)


@router.post(
    "/items/batch",
    responses=error_responses(*_ERRORS),
    response_model_exclude_none=True,
    openapi_extra=json_request_body(ChangesRequest),
)
async def change_items(
    request: Request,
    body: Annotated[ChangesRequest, Depends(json_body(ChangesRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> ChangesResponse:
    """Apply up to 256 changes in order; a change that is refused leaves the others alone."""
    changes = _changes(engine)
    charge_queries(request, len(body.operations))
    built = await build_operations(body.operations, engine, deadline)
    batches: list[Batch] = [[each] for each in built if not isinstance(each, TusouError)]
    applied = iter(await changes.apply(batches, deadline) if batches else ())
    results: list[ChangedItem | FailedChange] = []
    for requested, operation in zip(body.operations, built, strict=True):
        result = operation if isinstance(operation, TusouError) else next(applied)
        if isinstance(result, TusouError):
            problem = QueryProblem.model_validate(query_problem(result))
            results.append(FailedChange(item_id=requested.item_id, problem=problem))
        else:
            results.append(ChangedItem(**_fields(result[0], engine)))
    return ChangesResponse(results=results, index_version=_version(changes))


@router.post(
    "/items/delete",
    responses=error_responses(*_ERRORS),
    openapi_extra=json_request_body(DeleteRequest),
)
async def delete_items(
    body: Annotated[DeleteRequest, Depends(json_body(DeleteRequest))],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> DeletedResponse:
    """Remove all items that pass a filter, together."""
    changes = _changes(engine)
    deleted = await changes.delete_where(parse_filter(body.filter), deadline)
    return DeletedResponse(deleted=deleted, index_version=_version(changes))


def _changes(engine: SearchEngine) -> "LiveChanges":
    """Return the writer of changes; LiveOff, and NotReady while the index loads."""
    if engine.live is None:
        raise LiveOff
    _ = engine.pipeline
    return engine.live


async def _apply_one(
    operation: Operation,
    changes: "LiveChanges",
    engine: SearchEngine,
    deadline: float,
    response: Response,
) -> ChangeResponse:
    (result,) = await changes.apply([[operation]], deadline)
    if isinstance(result, TusouError):
        raise result
    outcome = result[0]
    if outcome.etag is not None:
        response.headers["ETag"] = f'"{outcome.etag}"'
    return ChangeResponse(**_fields(outcome, engine), index_version=_version(changes))


def _fields(outcome: "ChangeOutcome", engine: SearchEngine) -> dict[str, Any]:
    is_integer = engine.pipeline.bundle.id_type == "int"
    item_id: ItemId = int(outcome.item_id) if is_integer else outcome.item_id
    return {"item_id": item_id, "status": outcome.status, "etag": outcome.etag}


def _version(changes: "LiveChanges") -> str:
    snapshot = changes.snapshot
    assert snapshot
    return snapshot.index_version


def _etags(lines: list[str] | None) -> frozenset[str] | None:
    """Return the ETags of the lines of If-Match headers, without quotes."""
    return None if lines is None else parse_if_match(",".join(lines))
