"""The search page and the page that documents the calls: static files, nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

_WEB = Path(__file__).parents[1] / "web"

router = APIRouter(include_in_schema=False)
# After an upgrade a browser must not join a new page with an old script: it asks each time.
_FRESH = {"Cache-Control": "no-cache"}


class _Static(StaticFiles):
    path_format = "/static/{path}"  # as a route has one: what log and metrics call the request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_FRESH)
        return response


static = _Static(directory=_WEB, check_dir=False)


@router.get("/")
async def index() -> FileResponse:
    """Return the search page."""
    return FileResponse(_WEB / "index.html", headers=_FRESH)


def docs_router() -> APIRouter:
    """Return the documentation page and what it shows, which a deployment may leave out."""
    docs = APIRouter(include_in_schema=False)

    @docs.get("/docs")
    async def page() -> FileResponse:
        return FileResponse(_WEB / "docs.html", headers=_FRESH)

    @docs.get("/openapi.json")
    async def document(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    return docs
