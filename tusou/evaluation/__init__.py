"""Scores of ranked lists, and the files that hold the lists."""
