"""Cross-encoder: scores a text and an image by their tokens, over the towers of a checkpoint."""
