"""Draws toy product images and the Chinese queries that ask for them."""
