"""Draws toy product images with Chinese queries and captions."""
