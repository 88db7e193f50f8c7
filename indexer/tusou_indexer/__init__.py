"""Offline: a pool of pictures becomes a bundle."""
