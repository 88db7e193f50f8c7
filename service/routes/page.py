"""The search page and the page that documents the calls: static files, nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_WEB = Path(__file__).parents[1] / "web"

router = APIRouter(include_in_schema=False)
# After an upgrade a browser must not join a new page with an old script: it asks each time.
_FRESH = {"Cache-Control": "no-cache"}


class _Static(StaticFiles):
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
    """Return the route of the documentation page, which a deployment may leave out."""
    docs = APIRouter(include_in_schema=False)

    @docs.get("/docs")
    async def page() -> FileResponse:
        return FileResponse(_WEB / "docs.html", headers=_FRESH)

    return docs
