"""Metrics of ranked lists, judgments, run files and tests of significance."""
