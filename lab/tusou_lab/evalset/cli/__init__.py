"""`tusou evalset`: builds an evaluation set for a user's own domain, step by step."""
