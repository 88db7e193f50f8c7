"""Evaluation sets for one's own domain: queries, pooled items, and judgments with their worth."""
