"""HTTP clients of the service, which need httpx only, and the client commands."""

from tusou.core.hits import Hits
from tusou_client.async_client import AsyncClient
from tusou_client.change_calls import Change
from tusou_client.client import Client
from tusou_client.errors import ClientError, ServiceError
from tusou_client.retry import RetryPolicy

__all__ = ["AsyncClient", "Change", "Client", "ClientError", "Hits", "RetryPolicy", "ServiceError"]
