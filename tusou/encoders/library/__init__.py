"""Towers that another library runs: whatever is neither BERT- nor CLIP-shaped."""
