"""Draws toy product pictures and the Chinese queries that ask for them."""
