"""Stages of ranking after retrieval, one module each."""
