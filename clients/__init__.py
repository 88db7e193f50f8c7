"""Clients of the service: they speak HTTP and need httpx alone."""

from clients.client import AsyncClient, Client
from clients.errors import ClientError, ServiceError
from clients.protocol import Hits
from clients.retry import RetryPolicy

__all__ = ["AsyncClient", "Client", "ClientError", "Hits", "RetryPolicy", "ServiceError"]
