"""Evaluation sets for a user's own domain: queries, pooled items and judgments."""
