"""Trains and fine-tunes cn_clip models on images and queries."""
