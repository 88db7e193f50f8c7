"""Encoders in PyTorch."""
