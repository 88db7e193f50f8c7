"""Exact ranks of correct items beyond the depth of a run."""

from collections.abc import Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.errors import InputError, TusouError
from tusou.encoders import load_text_encoder
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.query import Query, combine
from tusou.text.normalize import normalize_query
from tusou_lab.report.analysis import QueryOutcome


def exact_ranks(
    bundle: Bundle | None, missed: Sequence[QueryOutcome], *, interpret: bool
) -> dict[int, int]:
    """Return the rank of each query's nearest correct item in the whole pool, by query line.

    Empty if the model of the bundle is not available: a report does not download weights.
    """
    missed = [outcome for outcome in missed if outcome.query.text is not None]
    if bundle is None or not missed:
        return {}
    location = bundle.manifest.model.location
    try:
        weights = find_bundle_weights(bundle.manifest, location)
        encoder = load_text_encoder(weights, "auto", bundle.manifest.prompt)
    except TusouError:
        return {}
    vectors = np.asarray(bundle.vectors)
    ranks = {}
    for outcome in missed:
        keys = [bundle.ids.key(str(item)) for item in outcome.correct]
        known = [key for key in keys if key is not None]
        try:
            text = normalize_query(outcome.query.text or "")
            query = Query.of_text(text, 1, interpret=interpret)
            texts = encoder.encode(encoder.prepare(query.texts))
            scores = vectors @ combine(query.parts, list(texts))
        except InputError:  # the service would refuse this query
            continue
        if known:
            ranks[outcome.query.line] = int((scores > scores[known].max()).sum()) + 1
    return ranks
