"""Experiments with a second bundle: A/B tests and shadow traffic."""
