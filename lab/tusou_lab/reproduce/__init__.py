"""Published results measured again, from their data to a report."""
