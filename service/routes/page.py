"""The search page and the page that documents the calls: static files, nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

_WEB = Path(__file__).parents[1] / "web"

router = APIRouter(include_in_schema=False)
static = StaticFiles(directory=_WEB, check_dir=False)


@router.get("/")
async def index() -> FileResponse:
    """Return the search page."""
    return FileResponse(_WEB / "index.html")


def docs_router() -> APIRouter:
    """Return the route of the documentation page, which a deployment may leave out."""
    docs = APIRouter(include_in_schema=False)

    @docs.get("/docs")
    async def page() -> FileResponse:
        return FileResponse(_WEB / "docs.html")

    return docs
