"""Query images: decoding in worker processes, and encoding."""
