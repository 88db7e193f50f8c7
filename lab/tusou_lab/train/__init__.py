"""Trains and fine-tunes models of all families on images and queries."""
