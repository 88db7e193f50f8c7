"""Benchmarks of reliability: faults that are injected, and what they leave behind."""
