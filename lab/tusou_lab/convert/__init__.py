"""From any format of data to any other, image bytes unchanged."""
