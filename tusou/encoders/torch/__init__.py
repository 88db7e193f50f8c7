"""The encoders in PyTorch."""
