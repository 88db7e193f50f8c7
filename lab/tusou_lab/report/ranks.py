"""The exact rank of a right item that the run's list is too short to show."""

from collections.abc import Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.errors import TusouError
from tusou.encoders import load_text_encoder
from tusou.retrieval.compatibility import weights_of
from tusou.text.normalize import normalize_query
from tusou_lab.report.analysis import Outcome


def exact_ranks(bundle: Bundle | None, missed: Sequence[Outcome]) -> dict[int, int]:
    """Rank the nearest correct item of each query in the whole pool, by the query's line.

    Empty where the bundle's model is not at hand: a report is no reason to download weights.
    """
    asked = [one for one in missed if one.row.text is not None]
    if bundle is None or not asked:
        return {}
    made = bundle.manifest.model
    try:
        encoder = load_text_encoder(
            weights_of(bundle.manifest, made.location), "auto", bundle.manifest.prompt
        )
    except TusouError:
        return {}
    texts = [normalize_query(one.row.text or "") for one in asked]
    scores = encoder.encode(encoder.prepare(texts)) @ np.asarray(bundle.vectors).T
    found = {}
    for one, row in zip(asked, scores, strict=True):
        grades = one.row.grades or {}
        wanted = [bundle.ids.key(str(item)) for item, grade in grades.items() if grade > 0]
        keys = [key for key in wanted if key is not None]
        if keys:
            found[one.row.line] = int((row > row[keys].max()).sum()) + 1
    return found
