"""Trains a cross-encoder that orders a bundle's best items again."""
