"""Measure and improve: toy data, training, evaluation."""
