"""Scores search results against judgments."""
