"""Changes to the items of a bundle between its versions: log, store and snapshots."""
