"""Types, errors and system access that every package shares."""
