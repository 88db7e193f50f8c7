"""The HTTP service that answers queries from a bundle."""
