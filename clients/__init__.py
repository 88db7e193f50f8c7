"""Clients of the service: they speak HTTP and need httpx alone."""
