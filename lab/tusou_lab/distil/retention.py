"""The share of a teacher's results that a student retains, on texts that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tusou.cli.progress import Progress
from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.encoders.student.record import AnswersRetention, Figure, RetentionRecord
from tusou.evaluation.bootstrap import intervals, ratio_interval
from tusou.evaluation.judgments import Judgments, read_judgments
from tusou.evaluation.metrics import JudgedRanking, Values, per_query
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query
from tusou_lab.evaluate.bundle_queries import read_text_queries
from tusou_lab.evaluate.search_queries import search_queries
from tusou_lab.evaluate.validate import check_coverage, list_ids, require_answers

_DEPTH = 10
_BATCH = 256
_METRIC = "mean_recall"


@dataclass(frozen=True, slots=True)
class JudgedTexts:
    """Judged queries on which both encoders are compared."""

    name: str
    judgments: Judgments

    @property
    def texts(self) -> list[str]:
        """The texts of the queries."""
        return [row.text for row in self.judgments.rows if row.text is not None]


def read_judged(sources: Sequence[str], pipeline: SearchPipeline, root: Path) -> list[JudgedTexts]:
    """Read judged queries; BadDataset for those without answers in the bundle."""
    judged = []
    for source in sources:
        judgments = read_judgments(source, "text_to_image")
        require_answers(judgments)
        check_coverage(judgments, list_ids(pipeline.bundle), root)
        judged.append(JudgedTexts(Path(source).name, judgments))
    return judged


def measure_retention(
    teacher: SearchPipeline,
    student: SearchPipeline,
    held_out: Sequence[str],
    judged: Sequence[JudgedTexts],
    progress: Progress,
    *,
    interpret: bool = True,
) -> RetentionRecord:
    """Search for the same texts with both, as they are served, without rerankers.

    With `interpret`, what a judged query refuses is subtracted. Held-out texts are searched for as
    they are: the student learns to encode texts, whatever they say.
    """
    progress.begin("measuring the retention", 2 * len(held_out))
    queries = [Query.of_text(text, _DEPTH, interpret=False) for text in held_out]
    results = [_search(pipeline, queries, progress) for pipeline in (teacher, student)]
    vectors = [_vectors(pipeline, held_out) for pipeline in (teacher, student)]
    columns = {
        "cosine": (vectors[0] * vectors[1]).sum(axis=1).astype(np.float64),
        "overlap": np.array([_overlap(*pair) for pair in zip(*results, strict=True)]),
    }
    bounds = intervals(columns)
    figures = {name: _figure(values, bounds[name]) for name, values in columns.items()}
    return RetentionRecord(
        bundle=teacher.bundle.version,
        texts=len(held_out),
        cosine=figures["cosine"],
        overlap_at_10=figures["overlap"],
        answers=tuple(
            _compare(teacher, student, each, progress, interpret=interpret) for each in judged
        ),
    )


def _compare(
    teacher: SearchPipeline,
    student: SearchPipeline,
    judged: JudgedTexts,
    progress: Progress,
    *,
    interpret: bool,
) -> AnswersRetention:
    judgments = judged.judgments
    queries = [
        replace(query, rerank=False)
        for query in read_text_queries(judgments, _DEPTH, interpret=interpret)
    ]
    progress.begin(f"searching for {judged.name}", 2 * len(queries))
    values = {
        name: _mean_recalls(search_queries(pipeline, judgments, queries, progress), judgments)
        for name, pipeline in (("teacher", teacher), ("student", student))
    }
    values["difference"] = values["student"] - values["teacher"]
    bounds = intervals(values)
    whole = float(values["teacher"].mean())
    retained = None
    if whole > 0:
        share = float(values["student"].mean()) / whole
        low, high = ratio_interval(values["student"], values["teacher"])
        retained = Figure(value=share, low=low, high=high)
    return AnswersRetention(
        data=judged.name,
        queries=len(queries),
        interpret=interpret,
        **{name: _figure(column, bounds[name]) for name, column in values.items()},
        retained=retained,
    )


def _mean_recalls(hits: Sequence[Hits], judgments: Judgments) -> Values:
    rankings = [
        JudgedRanking(each.item_ids, row.grades or {})
        for each, row in zip(hits, judgments.rows, strict=True)
    ]
    if judgments.string_ids:
        rankings = [JudgedRanking([*map(str, r.ranked)], r.correct) for r in rankings]
    return per_query(rankings, _DEPTH)[_METRIC]


def _search(
    pipeline: SearchPipeline, queries: Sequence[Query], progress: Progress
) -> list[set[object]]:
    results: list[set[object]] = []
    for start in range(0, len(queries), _BATCH):
        batch = [replace(query, rerank=False) for query in queries[start : start + _BATCH]]
        for hits in pipeline.search(batch).hits:
            if isinstance(hits, TusouError):
                raise hits
            results.append({*hits.item_ids})
        progress.advance(len(batch))
    return results


def _vectors(pipeline: SearchPipeline, texts: Sequence[str]) -> np.ndarray[tuple[int, int]]:
    parts = [
        pipeline.encode_texts(texts[start : start + _BATCH]).vectors
        for start in range(0, len(texts), _BATCH)
    ]
    return np.concatenate(parts)


def _overlap(first: set[object], second: set[object]) -> float:
    return len(first & second) / max(len(first), 1)


def _figure(values: Values, bounds: tuple[float, float]) -> Figure:
    return Figure(value=float(values.mean()), low=bounds[0], high=bounds[1])
