"""Trains and fine-tunes cn_clip models on pictures and queries."""
