"""Scores labelled pairs of texts and images by the vectors of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InputError, InvalidRequest
from tusou.core.problems import list_problems
from tusou.data import open_dataset
from tusou.data.labelled_pairs import LabelledPair
from tusou.encoders.student.folder import open_student
from tusou.evaluation.pair_matching import (
    Labels,
    ScoredPairs,
    choose_threshold,
    cross_fit_decisions,
    estimate_matching,
)
from tusou.evaluation.reliability import Estimate
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, VectorPart, combine
from tusou.text.normalize import MAX_QUERY_CHARS, normalize_query
from tusou_lab.evaluate.bundle_queries import encode_text_queries
from tusou_lab.evaluate.validate import raise_problems

_BLOCK_ROWS = 8192  # pairs scored together


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Settings for scoring the pairs of a dataset."""

    pairs: str  # DATA#SPLIT
    threshold_from: str | None = None  # other pairs; None: each fifth of the images by the others
    interpret: bool = True  # subtract what a text refuses, as the service does by default
    cache: Path | None = None  # folder of the texts' embeddings
    query_encoder: Path | None = None  # a student that encodes the texts


@dataclass(frozen=True, slots=True)
class PairEvaluation:
    """The figures of a bundle on labelled pairs."""

    pairs: int  # scored
    matching: int  # of them
    images: int  # different ones of the scored pairs
    unknown_pairs: int  # pairs whose image is not in the bundle; not scored
    unknown_images: int
    contradictory: int  # pairs of the same text and image that are labelled both ways
    threshold_from: str | None  # None: of the other four fifths of the images
    thresholds: tuple[float, ...]  # cosines
    percent: dict[str, float]  # auc, accuracy
    interval: dict[str, tuple[float, float]]  # 95 %


def evaluate_pairs(root: Path, spec: PairSpec, progress: Progress | None = None) -> PairEvaluation:
    """Score the pairs of a dataset by the cosine of text and image in a bundle.

    Pairs whose image the bundle does not hold are left out, and a notice lists them. Raises
    InvalidRequest for a threshold from the pairs that are scored, and BadDataset for pairs of one
    label, for empty texts, and if no image is in the bundle.
    """
    progress = progress or NoProgress()
    pairs = open_dataset(spec.pairs).pairs()
    others = None if spec.threshold_from is None else open_dataset(spec.threshold_from).pairs()
    if others is not None:
        others = _leave_out_same(pairs, others, spec, progress)
    student = None if spec.query_encoder is None else open_student(spec.query_encoder)
    pipeline = SearchPipeline.open(root, student=student)
    if pipeline.bundle.items != "images":
        raise BadDataset(f"{spec.pairs} holds pairs with images, and the bundle holds texts")
    known, scored = _score(pipeline, spec.pairs, pairs, spec, progress)
    decisions, thresholds = _decide(pipeline, scored, others, spec, progress)
    figures = estimate_matching(scored, decisions)
    estimates = {"auc": figures.auc, "accuracy": figures.accuracy}
    scored_images = {str(pair.item_id) for pair in known}
    return PairEvaluation(
        pairs=len(known),
        matching=int(scored.matches.sum()),
        images=len(scored_images),
        unknown_pairs=len(pairs) - len(known),
        unknown_images=len({str(pair.item_id) for pair in pairs} - scored_images),
        contradictory=_count_contradictory(known),
        threshold_from=spec.threshold_from,
        thresholds=tuple(thresholds),
        percent={name: 100 * each.value for name, each in estimates.items()},
        interval={name: _percent_interval(each) for name, each in estimates.items()},
    )


def _percent_interval(estimate: Estimate) -> tuple[float, float]:
    return 100 * estimate.low, 100 * estimate.high


def _leave_out_same(
    pairs: Sequence[LabelledPair], others: Sequence[LabelledPair], spec: PairSpec, bar: Progress
) -> list[LabelledPair]:
    """Return the pairs to choose a threshold on, without those that it decides on.

    Raises InvalidRequest if there are no others.
    """
    keys = {_key(pair) for pair in pairs}
    different = [pair for pair in others if _key(pair) not in keys]
    if not different:
        raise InvalidRequest(
            f"all pairs of --threshold-from {spec.threshold_from} are among those of {spec.pairs}: "
            "the accuracy at a threshold chosen on the same pairs says nothing about others. Give "
            "other pairs, or leave the option out"
        )
    if shared := len(others) - len(different):
        bar.notice(
            f"{shared} of {len(others)} pairs of {spec.threshold_from} are also in {spec.pairs}: "
            "the threshold is chosen on the others"
        )
    return different


def _key(pair: LabelledPair) -> tuple[str, str]:
    return pair.text, str(pair.item_id)


def _count_contradictory(pairs: Sequence[LabelledPair]) -> int:
    labels: dict[tuple[str, str], set[bool]] = {}
    for pair in pairs:
        labels.setdefault(_key(pair), set()).add(pair.matches)
    return sum(len(each) > 1 for each in labels.values())


def _score(
    pipeline: SearchPipeline,
    source: str,
    pairs: Sequence[LabelledPair],
    spec: PairSpec,
    progress: Progress,
) -> tuple[list[LabelledPair], ScoredPairs]:
    """Return the pairs whose image is in the bundle, and their scores."""
    bundle = pipeline.bundle
    keys = {pair.item_id: bundle.ids.key(str(pair.item_id)) for pair in pairs}
    known = [pair for pair in pairs if keys[pair.item_id] is not None]
    missing = [image for image, key in keys.items() if key is None]
    if not known:
        raise BadDataset(
            f"none of the {len(missing)} images of {source} is in {bundle.folder.parent}; index "
            f"the images of these pairs: tusou index {source}"
        )
    if missing:
        progress.notice(
            f"{len(pairs) - len(known)} of {len(pairs)} pairs of {source} are left out, whose "
            f"images the bundle does not hold:{list_problems([str(image) for image in missing])}"
        )
    queries = _read_texts(source, known, interpret=spec.interpret)
    encoded = encode_text_queries(pipeline, list(queries.values()), spec.cache, progress)
    texts = dict(zip(queries, encoded, strict=True))
    rows = np.array([keys[pair.item_id] for pair in known], np.int64)
    scores = np.empty(len(known))
    progress.begin("scoring pairs", len(known))
    for start in range(0, len(known), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        vectors = np.stack([_vector(texts[pair.text]) for pair in known[block]])
        images = bundle.vector_file.rows(rows[block])
        scores[block] = np.einsum("pd,pd->p", vectors, images)
        progress.advance(len(images))
    matches = np.array([pair.matches for pair in known])
    if matches.all() or not matches.any():
        label = "match" if matches.all() else "do not match"
        raise BadDataset(f"{source}: all {len(known)} pairs {label}; both labels are needed")
    return known, ScoredPairs(scores, matches, np.unique(rows, return_inverse=True)[1])


def _read_texts(source: str, pairs: Sequence[LabelledPair], *, interpret: bool) -> dict[str, Query]:
    """Return the query of each different text; BadDataset lists those without visible characters.

    A caption may be longer than a query of the service.
    """
    queries: dict[str, Query] = {}
    problems: list[str] = []
    for pair in pairs:
        if pair.text in queries:
            continue
        try:
            text = normalize_query(pair.text[:MAX_QUERY_CHARS])  # the model reads less than that
            queries[pair.text] = Query.of_text(text, 1, interpret=interpret)
        except InputError as error:
            problems.append(f"{source}: line {pair.line}: {error}")
    raise_problems(problems)
    return queries


def _vector(query: Query) -> Vectors:
    parts = query.parts
    return combine(parts, [part.vector for part in parts if isinstance(part, VectorPart)])


def _decide(
    pipeline: SearchPipeline,
    scored: ScoredPairs,
    others: Sequence[LabelledPair] | None,
    spec: PairSpec,
    progress: Progress,
) -> tuple[Labels, list[float]]:
    """Return which pairs are taken to match, and the thresholds that decided."""
    if others is not None and spec.threshold_from is not None:
        _, chosen = _score(pipeline, spec.threshold_from, others, spec, progress)
        threshold = choose_threshold(chosen.scores, chosen.matches)
        return scored.scores >= threshold, [threshold]
    if not scored.images.any():
        raise BadDataset(
            f"{spec.pairs}: all pairs are of one image; give --threshold-from other pairs"
        )
    return cross_fit_decisions(scored)
