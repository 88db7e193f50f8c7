"""Division of a dataset into train, valid and test."""
