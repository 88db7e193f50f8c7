"""The bundle format: manifest, item ids, vectors and spans of the source files."""
