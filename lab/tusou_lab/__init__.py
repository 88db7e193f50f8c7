"""Tools to prepare data, train models and measure results."""
