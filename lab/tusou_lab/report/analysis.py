"""Outcome of each query: the rank of its first correct item, and duplicates above it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.errors import InputError, TusouError
from tusou.core.ids import ItemId
from tusou.encoders import open_text_model, resolve_model
from tusou.evaluation.judgments import JudgedQuery
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.query import Query, combine
from tusou.text.normalize import normalize_query
from tusou_lab.report.inputs import ReportRun

# Images count as duplicates from this cosine of their vectors: one image saved at two sizes or
# qualities reaches it.
DUPLICATE_COSINE = 0.985


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """The ranking of one query, judged."""

    query: JudgedQuery
    correct: Collection[ItemId]
    ranking: tuple[ItemId, ...]
    rank: int | None  # of the first correct item; None when the ranking has none
    duplicated: ItemId | None  # a correct item of which the wrong first result is a duplicate


def outcomes(run: ReportRun) -> list[QueryOutcome]:
    """Judge every query of a run."""
    judged = []
    for query, ranking in run.rankings():
        correct = {item: grade for item, grade in (query.grades or {}).items() if grade > 0}
        rank = next((rank for rank, item in enumerate(ranking, 1) if item in correct), None)
        duplicated = None
        if run.bundle and ranking and rank != 1:
            duplicated = _duplicated_item(run.bundle, ranking[0], correct)
        judged.append(QueryOutcome(query, correct, ranking, rank, duplicated))
    return judged


def _duplicated_item(bundle: Bundle, wrong: ItemId, correct: Collection[ItemId]) -> ItemId | None:
    """Return the correct item whose image is a duplicate of the wrong item's image."""
    key = bundle.ids.key(str(wrong))
    keys = {item: key for item in correct if (key := bundle.ids.key(str(item))) is not None}
    if key is None or not keys:
        return None
    cosines = bundle.vectors[list(keys.values())] @ bundle.vectors[key]
    best = int(np.argmax(cosines))
    return list(keys)[best] if cosines[best] >= DUPLICATE_COSINE else None


def exact_ranks(run: ReportRun, missed: Sequence[QueryOutcome]) -> dict[int, int]:
    """Return the rank of each query's nearest correct item in the whole pool, by query line.

    Empty if the model of the bundle is not available: a report does not download weights.
    """
    bundle = run.bundle
    missed = [outcome for outcome in missed if outcome.query.text is not None]
    if bundle is None or not missed:
        return {}
    try:
        model = resolve_model(find_bundle_weights(bundle.manifest), "text")
        encoder = open_text_model(model, bundle.manifest.templates)
    except TusouError:
        return {}
    vectors = np.asarray(bundle.vectors)
    ranks = {}
    for outcome in missed:
        keys = [bundle.ids.key(str(item)) for item in outcome.correct]
        known = [key for key in keys if key is not None]
        try:
            text = normalize_query(outcome.query.text or "")
            query = Query.of_text(text, 1, interpret=run.interpreted)
            texts = encoder.encode(encoder.prepare(query.texts))
            scores = vectors @ combine(query.parts, list(texts))
        except InputError:  # the service would refuse this query
            continue
        if known:
            ranks[outcome.query.line] = int((scores > scores[known].max()).sum()) + 1
    return ranks


def sample_evenly(outcomes: Sequence[QueryOutcome], count: int) -> list[QueryOutcome]:
    """Return at most `count` outcomes at even distances."""
    if len(outcomes) <= count:
        return list(outcomes)
    return [outcomes[round(position)] for position in np.linspace(0, len(outcomes) - 1, count)]
