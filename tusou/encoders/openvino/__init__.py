"""OpenVINO as a backend of the towers: on processors the faster one, which needs no torch."""
