"""Garbage collector tuning: freezes the objects of start-up and makes collections rare.

A collection stops all threads, and one over everything that the libraries have made takes long.
Few objects of a request are in reference cycles, so most are freed without a collection.
"""

import gc

# Objects in the youngest generation before a collection; Python's own threshold is 700.
_YOUNGEST_THRESHOLD = 2_000


def tune_gc() -> None:
    """Exclude all objects that exist now from collections; call it once the engine is loaded."""
    gc.freeze()
    gc.set_threshold(_YOUNGEST_THRESHOLD)
