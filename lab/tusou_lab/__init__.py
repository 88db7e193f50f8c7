"""Measure and improve: everything that is neither indexing nor answering."""
