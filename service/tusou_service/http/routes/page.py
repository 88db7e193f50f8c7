"""The search page and the API documentation page, as static files."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

_WEB = Path(__file__).parents[1] / "web"

router = APIRouter(include_in_schema=False)
docs_router = APIRouter(include_in_schema=False)  # can be switched off
# Revalidate at each load: after an upgrade, a new page must not run an old script.
_NO_CACHE = {"Cache-Control": "no-cache"}


class _WebFiles(StaticFiles):
    path_format = "/static/{path}"  # like a route's: the name in log and metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_NO_CACHE)
        return response


# Compressed, the page's files are a third of their size.
static = GZipMiddleware(_WebFiles(directory=_WEB, check_dir=False), minimum_size=500)


@router.get("/")
async def index() -> FileResponse:
    """Return the search page."""
    return FileResponse(_WEB / "index.html", headers=_NO_CACHE)


@docs_router.get("/docs")
async def docs() -> FileResponse:
    """Return the page of the API documentation."""
    return FileResponse(_WEB / "docs.html", headers=_NO_CACHE)


@docs_router.get("/openapi.json")
async def document(request: Request) -> JSONResponse:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi())
