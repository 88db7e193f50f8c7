"""Distillation: trains students that imitate the text tower of a bundle's model."""
