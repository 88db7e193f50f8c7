"""Measures how single settings change the scores, from embeddings that are computed once."""
