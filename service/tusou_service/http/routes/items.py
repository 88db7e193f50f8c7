"""GET /items, GET /items/{item_id} and GET /items/{item_id}/image."""

import hashlib
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi import Query as QueryParameter
from fastapi.responses import Response

from tusou.core.errors import DeadlineExceeded, NoImage, NotReady, UnknownItem
from tusou.retrieval.item_view import ItemView
from tusou_service.http.attribute_fields import filter_cost
from tusou_service.http.dependencies import DeadlineDep, EngineDep, charge_queries
from tusou_service.http.errors import error_responses
from tusou_service.http.item_list import list_items
from tusou_service.http.request_models import ItemListParameters
from tusou_service.http.schemas import ItemResponse, ItemsResponse

router = APIRouter(tags=["items"])

ItemIdParameter = Annotated[
    str, PathParameter(description="The id of an indexed item.", examples=["30000001"])
]


@router.get(
    "/items",
    responses=error_responses(UnknownItem, NotReady, DeadlineExceeded),
    response_model_exclude_none=True,
)
async def items(
    request: Request,
    parameters: Annotated[ItemListParameters, QueryParameter()],
    engine: EngineDep,
    deadline: DeadlineDep,
) -> ItemsResponse:
    """List the items that pass a filter, in the order of the pool."""
    charge_queries(request, 1 + filter_cost(parameters.filter))
    view = engine.pipeline.view
    return await engine.source.read(lambda: list_items(view, parameters), deadline)


@router.get(
    "/items/{item_id:path}/image",  # ids may contain slashes
    response_class=Response,
    responses={
        **error_responses(UnknownItem, NoImage, NotReady, DeadlineExceeded),
        200: {
            "description": "The image as it is in the source",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The client's copy is current"},
    },
)
async def image(
    item_id: ItemIdParameter, request: Request, engine: EngineDep, deadline: DeadlineDep
) -> Response:
    """Return an item's image as it is in the source."""
    view = engine.pipeline.view
    data, content_type, digest = await engine.source.read(
        lambda: _read_image(view, item_id), deadline
    )
    tag = f'"{digest[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=content_type, headers=headers)


@router.get(
    "/items/{item_id:path}",  # after the route above, whose paths it matches too
    responses=error_responses(UnknownItem, NotReady, DeadlineExceeded),
    response_model_exclude_none=True,
)
async def item(
    item_id: ItemIdParameter, engine: EngineDep, deadline: DeadlineDep, response: Response
) -> ItemResponse:
    """Return an item's text, or the path of its image, and its attributes."""
    view = engine.pipeline.view
    text, etag = await engine.source.read(
        lambda: (view.text(item_id), view.etag(item_id)), deadline
    )
    response.headers["ETag"] = f'"{etag}"'
    return ItemResponse(
        item_id=int(item_id) if view.bundle.id_type == "int" else item_id,
        text=text,
        image=f"/items/{quote(item_id, safe='')}/image" if text is None else None,
        attributes=dict(view.item_attributes(item_id)) if view.schema else None,
    )


def _read_image(view: ItemView, item_id: str) -> tuple[bytes, str, str]:
    """Return the bytes, the media type and the digest of an item's image."""
    data, content_type = view.image(item_id)
    return data, content_type, hashlib.sha256(data).hexdigest()
