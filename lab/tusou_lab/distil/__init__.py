"""Distillation: students that give the vectors of a bundle's model for texts."""
