"""Clients of the service: they speak HTTP and need httpx alone."""

from tusou.core.hits import Hits
from tusou_client.client import AsyncClient, Client
from tusou_client.errors import ClientError, ServiceError
from tusou_client.retry import RetryPolicy

__all__ = ["AsyncClient", "Client", "ClientError", "Hits", "RetryPolicy", "ServiceError"]
