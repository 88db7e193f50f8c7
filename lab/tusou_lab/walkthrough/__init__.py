"""Walk-throughs: complete exercises on drawn data, with the commands that a user would type."""
