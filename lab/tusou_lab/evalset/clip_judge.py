"""A judge that grades by the calibrated relevance of a bundle's scores."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from tusou.bundle.calibration_file import CalibrationFile
from tusou.bundle.manifest import VECTORS
from tusou.bundle.stages import CALIBRATION
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InvalidRequest, UnknownItem
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, combine
from tusou.stages.calibration import Calibration, RankedScores, Values
from tusou.text.normalize import normalize_query
from tusou_lab.evalset.judgment import Grade, Judgment, PairToJudge
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pooled_systems import model_digests

Thresholds: TypeAlias = tuple[float, float, float]  # least relevance of the grades 1, 2 and 3
DEFAULT_THRESHOLDS: Thresholds = (0.25, 0.5, 0.75)

_QUERIES = 16  # compared with all items together
_BLOCK_ROWS = 65_536


def parse_thresholds(text: str) -> Thresholds:
    """Read the least relevance of the grades 1, 2 and 3; InvalidRequest unless they ascend."""
    try:
        values = tuple(map(float, text.split(",")))
    except ValueError:
        values = ()
    if len(values) != 3 or not 0 < values[0] < values[1] < values[2] <= 1:
        raise InvalidRequest(
            f"--thresholds {text}: give the lowest relevance of grades 1, 2 and 3, in ascending "
            "order, such as 0.25,0.5,0.75"
        )
    return values


class ClipJudge:
    """Grades a pair by the relevance that the calibration gives the item in a search of the index.

    Refusals are read as they were for the calibration. The stages of the bundle do not count: a
    reranker scores only the first items.
    """

    def __init__(self, root: Path, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> None:
        """Raises InvalidRequest for a bundle without a calibration of queries that are texts."""
        self._pipeline = SearchPipeline.open(root)
        self.bundle, self._root, self._thresholds = self._pipeline.bundle, root, thresholds
        content = self.bundle.calibration
        self._calibration = Calibration(_check(content, root))
        manifest = self.bundle.manifest
        files = [manifest.files[name].sha256 for name in (CALIBRATION, VECTORS)]
        identity = [model_digests(self.bundle), manifest.templates, files, thresholds]
        digest = sha256(json.dumps(identity, ensure_ascii=False).encode()).hexdigest()[:12]
        self.name = f"clip:{self.bundle.model_name}@{digest}"

    @property
    def models(self) -> frozenset[str]:
        """The digests and the name of the models that judge."""
        return frozenset((*model_digests(self.bundle), self.bundle.model_name))

    def judge(self, pairs: Sequence[PairToJudge], repeat: int) -> Iterator[list[Judgment]]:
        keys = self._find_keys(pairs)
        by_query: dict[int, list[int]] = {}
        for place, each in enumerate(pairs):
            by_query.setdefault(each.query.query_id, []).append(place)
        places = list(by_query.values())
        for start in range(0, len(places), _QUERIES):
            part = places[start : start + _QUERIES]
            queries = [pairs[group[0]].query for group in part]
            for group, relevances in zip(part, self._relevances(queries), strict=True):
                yield [
                    self._judge(pairs[place], float(relevances[keys[place]]), repeat)
                    for place in group
                ]

    def _find_keys(self, pairs: Sequence[PairToJudge]) -> list[int]:
        try:
            return [self.bundle.key(str(each.pair.item_id)) for each in pairs]
        except UnknownItem:
            ids = self.bundle.ids
            items = (each.pair.item_id for each in pairs)
            missing = next(item for item in items if ids.key(str(item)) is None)
            raise BadDataset(
                f"{self._root} does not hold the item {missing} of the pool: judge with a bundle "
                "of the same items"
            ) from None

    def _relevances(self, planned: Sequence[PlannedQuery]) -> Iterator[Values]:
        """Yield the relevance of every item for each query, by row key (n,)."""
        interpret = self._calibration.interpret
        queries = [
            Query.of_text(normalize_query(each.text), 1, interpret=interpret) for each in planned
        ]
        vectors = self._encode(queries)
        for query, vector, cosines in zip(queries, vectors, self._cosines(vectors), strict=True):
            order = np.argsort(-cosines, kind="stable")
            ranked = RankedScores(
                cosines[order].astype(np.float64),
                self._calibration.pool_cosine(vector),
                query.refuses,
            )
            relevances = np.empty(len(order))
            relevances[order] = self._calibration.relevances(ranked).hits
            yield relevances

    def _encode(self, queries: Sequence[Query]) -> Vectors:
        texts = list(dict.fromkeys(text for query in queries for text in query.texts))
        encoded = dict(zip(texts, self._pipeline.encode_texts(texts).vectors, strict=True))
        rows = [combine(each.parts, [encoded[text] for text in each.texts]) for each in queries]
        return np.stack(rows)

    def _cosines(self, vectors: Vectors) -> Vectors:
        """Return the cosines of queries, (q, d), with all items, (q, n), read in blocks."""
        items = self.bundle.vectors
        starts = range(0, len(items), _BLOCK_ROWS)
        blocks = [vectors @ items[start : start + _BLOCK_ROWS].T for start in starts]
        return np.concatenate(blocks, axis=1)

    def _judge(self, each: PairToJudge, relevance: float, repeat: int) -> Judgment:
        grade = cast("Grade", sum(relevance >= least for least in self._thresholds))
        pair, reason = each.pair, f"relevance {relevance:.4f}"
        return Judgment(pair.query_id, pair.item_id, self.name, grade, reason, repeat)


def _check(content: CalibrationFile | None, root: Path) -> CalibrationFile:
    if content is None:
        raise InvalidRequest(
            f"{root} has no calibration, which turns scores into relevance: fit one on judged "
            f"queries with `tusou calibrate {root} --answers FILE`"
        )
    if content.query_kind != "texts":
        raise InvalidRequest(
            f"the calibration of {root} is for queries that are {content.query_kind}, and the "
            "queries of a set are texts"
        )
    return content
