"""Charts as SVG whose text is drawn, so that Chinese shows on a machine without Chinese fonts."""
