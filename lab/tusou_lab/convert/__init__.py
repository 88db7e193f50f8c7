"""From any format of data to any other, picture bytes unchanged."""
