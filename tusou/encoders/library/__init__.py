"""Towers that another library runs: those of neither BERT's nor CLIP's shape."""
