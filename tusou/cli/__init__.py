"""The `tusou` command line."""
