"""Averages of models that were trained from one start."""
