"""Conversion of datasets between formats, with the bytes of images unchanged."""
