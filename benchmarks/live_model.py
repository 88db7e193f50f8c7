"""The answers of a bundle with live changes, by plain means: brute force over its items."""

from typing import Any

import numpy as np

from tusou.core.arrays import Vectors
from tusou.live.snapshot import LiveSnapshot


def answers(snapshot: LiveSnapshot, queries: Vectors, k: int = 10) -> dict[str, Any]:
    """Return all that can be asked of a snapshot, in a form that a compaction must not change."""
    keys = np.flatnonzero(snapshot.visible).tolist()
    ids = [str(snapshot.id_at(key)) for key in keys]
    vectors = snapshot.vectors(keys)
    scores = np.array([[np.dot(query, vector) for vector in vectors] for query in queries])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return {
        "ids": ids,
        "etags": [snapshot.etag(item_id) for item_id in ids],
        "attributes": [snapshot.item_attributes(item_id) for item_id in ids],
        "schema": snapshot.schema,
        "facets": {name: snapshot.facet(name) for name in snapshot.schema},
        "ranking": [[ids[place] for place in row] for row in order.tolist()],
        "scores": np.take_along_axis(scores, order, 1).tolist(),
    }
