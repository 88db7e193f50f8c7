"""Hubs of models: their protocols, downloads, and the folder of what was downloaded."""
