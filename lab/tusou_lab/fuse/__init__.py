"""Fusion of runs: one ranking a query out of those of several systems."""
