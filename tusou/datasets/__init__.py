"""Readers of the formats product pools and their queries come in."""
