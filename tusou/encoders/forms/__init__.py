"""Forms of Chinese-CLIP's files: the names that each writer gives the tensors, and their layout."""
