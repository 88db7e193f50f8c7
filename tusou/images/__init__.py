"""Image bytes: formats, preprocessing and worker processes."""
