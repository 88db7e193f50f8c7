"""The command `tusou convert-model`."""
