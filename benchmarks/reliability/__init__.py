"""Benchmarks of reliability: injected faults and their effects."""
