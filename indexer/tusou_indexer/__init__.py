"""Offline: a pool of images becomes a bundle."""
