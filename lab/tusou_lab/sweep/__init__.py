"""What changes a score: one setting at a time, from embeddings that are computed once."""
