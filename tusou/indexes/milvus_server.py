"""A Milvus server: the connection, time limits, and what to do while it does not answer."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import dotenv

from tusou.core.circuit_breaker import CircuitBreaker
from tusou.core.errors import IndexUnavailable
from tusou.indexes.milvus_address import address_of


@contextmanager
def _without_dotenv() -> Iterator[None]:
    """Keep pymilvus from reading a .env file into the environment when it is imported."""
    load = dotenv.load_dotenv
    dotenv.load_dotenv = lambda *_, **__: False
    try:
        yield
    finally:
        dotenv.load_dotenv = load


with _without_dotenv():
    import grpc
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

# It prints every failed call, with its traceback; the errors are raised all the same.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)

T = TypeVar("T")
Client: TypeAlias = MilvusClient

SERVER = "the index's server"  # in messages
CONNECT_SECONDS = 1.0
_REASON_CHARS = 200
_NOT_LOADED = 101  # code of Milvus
_GRPC_OPTIONS = {
    # Connections that have failed are otherwise shared, and tried again only after minutes.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_reconnect_backoff_ms": 500,
}


class NotLoaded(IndexUnavailable):
    """The server has the collection, but has not loaded it since its last start."""


class MilvusServer:
    """Calls a Milvus server within time limits. Safe to use from several threads.

    Nothing is connected before the first call.
    """

    def __init__(self, uri: str, seconds: float, breaker: CircuitBreaker | None = None) -> None:
        self._uri, self.seconds = uri, seconds
        self.address = address_of(uri)
        self.breaker = breaker or CircuitBreaker(SERVER, IndexUnavailable)
        self._client: MilvusClient | None = None

    def call(self, ask: Callable[[MilvusClient], T], *, probe: bool = False) -> T:
        """Return what `ask` does with the client; IndexUnavailable if the server fails.

        `ask` gives its own time limit to the call that it makes. A `probe` is made even while
        others are refused.
        """
        with self.breaker.call(probe=probe):
            try:
                if self._client is None:
                    self._client = MilvusClient(
                        self._uri, timeout=CONNECT_SECONDS, grpc_options=_GRPC_OPTIONS
                    )
                return ask(self._client)
            except (MilvusException, grpc.RpcError) as error:
                loaded = getattr(error, "code", None) != _NOT_LOADED
                raise (IndexUnavailable if loaded else NotLoaded)(
                    f"Milvus at {self.address} does not answer as it should: {_reason(error)}"
                ) from None

    def ping(self) -> None:
        """Raise IndexUnavailable unless the server answers at all."""
        self.call(lambda client: client.get_server_version(timeout=CONNECT_SECONDS), probe=True)


def _reason(error: Exception) -> str:
    """Return the first line of an error's reason; it holds no data of a request."""
    text = error.message if isinstance(error, MilvusException) else str(error)
    if isinstance(error, grpc.Call):
        text = f"{error.code().name}: {error.details()}"
    return (str(text).strip().splitlines() or [type(error).__name__])[0][:_REASON_CHARS]
