"""OpenVINO as an engine of the towers: on processors the faster one, which needs no torch."""
