"""The towers as ONNX graphs, for runtimes other than Tusou's own."""
