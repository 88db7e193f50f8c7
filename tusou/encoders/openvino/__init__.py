"""Encoders in OpenVINO: the faster backend on x86-64, and free of torch once converted."""
