"""Charts as SVG with text drawn as paths, so that Chinese shows without Chinese fonts."""
