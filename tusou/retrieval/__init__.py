"""The search pipeline: queries, retrieval and results."""
