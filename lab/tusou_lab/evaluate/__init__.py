"""Score what a search found against the answers."""
