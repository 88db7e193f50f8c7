"""Tries stages of ranking on judged queries, and takes those that help."""
