"""GET /items/{item_id}/image."""

import hashlib

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.errors import documented
from service.routes.state import EngineDep
from tusou.errors import NotReady, UnknownItem

router = APIRouter(tags=["items"])


@router.get(
    "/items/{item_id:path}/image",  # an id may hold slashes
    response_class=Response,
    responses={
        **documented(UnknownItem, NotReady),
        200: {
            "description": "The picture as it is in the pool",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The client's copy is current"},
    },
)
async def image(item_id: str, request: Request, engine: EngineDep) -> Response:
    """Return an item's picture, straight from the pool."""
    data, content_type = await engine.picture(item_id)
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=content_type, headers=headers)
