"""Compare two searches over the same queries."""
