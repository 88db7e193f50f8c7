"""CUDA graphs, streams and transfers."""
