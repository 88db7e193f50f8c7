"""The words and parts that every Tusou package shares."""

__version__ = "0.1.0"
