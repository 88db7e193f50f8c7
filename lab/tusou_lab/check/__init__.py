"""What is wrong with a dataset, told before anybody trains or searches on it."""
