"""Tusou (图搜): finds product images with Chinese queries.

`Client` and `AsyncClient` speak to a running service and need httpx only; `open_bundle` searches a
bundle in this process. They are imported on first use. `errors` holds what they raise.
"""

from typing import TYPE_CHECKING

from tusou.core import errors
from tusou.core.lazy_import import LazyImport

if TYPE_CHECKING:
    from tusou_client import AsyncClient, Client

    from tusou.retrieval.local import open_bundle

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__", "errors", "open_bundle"]

_LAZY = {
    "AsyncClient": LazyImport("tusou_client:AsyncClient"),
    "Client": LazyImport("tusou_client:Client"),
    "open_bundle": LazyImport("tusou.retrieval.local:open_bundle"),
}


if not TYPE_CHECKING:  # a type checker would accept any attribute

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, _LAZY[name].load())


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
