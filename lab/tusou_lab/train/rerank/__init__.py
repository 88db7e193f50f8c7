"""Trains a cross-encoder that reranks the best items of a bundle."""
