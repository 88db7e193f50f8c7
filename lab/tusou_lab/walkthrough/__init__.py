"""Whole exercises on data that the project draws, through the commands that anyone would type."""
