"""Several processes that speak HTTP over one engine."""
