"""Index selection: candidates, recall probes and tuning."""
