"""Averages models that were trained from the same starting weights."""
