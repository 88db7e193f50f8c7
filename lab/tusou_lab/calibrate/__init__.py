"""Calibration: relevance that is a probability, fitted on judged queries."""
