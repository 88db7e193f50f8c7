"""Finds out which stages help on judged queries, and makes the bundle that has them."""
