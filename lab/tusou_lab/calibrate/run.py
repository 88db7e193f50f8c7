"""Fits the calibration of a bundle on judged queries, and measures it on others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.calibration_file import (
    CalibrationFile,
    FittedBin,
    FittedFigure,
    FittedFigures,
    QueryKind,
)
from tusou.bundle.manifest import Manifest
from tusou.bundle.revise import revise
from tusou.bundle.stages import CALIBRATION, CalibrationRecord
from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset
from tusou.evaluation.judgments import Judgments, read_judgments
from tusou.evaluation.reliability import (
    Estimate,
    ReliabilityBin,
    auroc,
    calibration_error,
    reliability_curve,
)
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, VectorPart, combine
from tusou_lab.calibrate.cross_fit import (
    KindChoice,
    Predictions,
    choose_kind,
    cross_fit,
    fit_curves,
)
from tusou_lab.calibrate.fit import Kind
from tusou_lab.calibrate.samples import JudgedAnswer, average_items, judge_stages
from tusou_lab.evaluate.bundle_queries import encode_image_queries, read_text_queries

DEPTH = 10  # hits of each answer to fit on
FEWEST_QUERIES = 10


@dataclass(frozen=True, slots=True)
class FittedCalibration:
    """A calibration to publish, and what it was fitted on."""

    content: CalibrationFile
    kind: Kind
    version: str  # of the bundle that was searched
    queries: int
    skipped: int  # queries without a right item in the pool

    @property
    def record(self) -> CalibrationRecord:
        """The calibration's entry in the manifest."""
        figures = self.content.figures
        return CalibrationRecord(
            kind=self.kind,
            queries=self.queries,
            ece=figures.hit_ece.value,
            auroc=figures.auroc.value,
        )


def calibrate(
    root: Path,
    answers: Path | str,
    out: Path | None = None,
    kind: KindChoice = "auto",
    pool: Path | None = None,
    progress: Progress | None = None,
    *,
    interpret: bool = True,
) -> tuple[FittedCalibration, Bundle]:
    """Fit a calibration and publish a version with it, in the bundle itself or in `out`.

    Errors as for `fit_calibration` and `revise`.
    """
    fitted = fit_calibration(root, answers, kind, pool, progress, interpret=interpret)

    def add_record(manifest: Manifest) -> Manifest:
        stages = manifest.stages.model_copy(update={"calibration": fitted.record})
        return manifest.model_copy(update={"stages": stages})

    with TemporaryDirectory() as folder:
        path = Path(folder, CALIBRATION)
        path.write_text(fitted.content.model_dump_json(indent=1), encoding="utf-8")
        bundle = revise(root, add_record, out=out, version=fitted.version, add={CALIBRATION: path})
    return fitted, bundle


def fit_calibration(
    root: Path,
    answers: Path | str,
    kind: KindChoice = "auto",
    pool: Path | None = None,
    progress: Progress | None = None,
    *,
    interpret: bool = True,
) -> FittedCalibration:
    """Fit the relevances of a bundle's answers on judged queries, searched as a service would.

    `pool` holds the query images of a bundle of texts. With `interpret`, what a text refuses is
    subtracted; the calibration then serves queries that are read so, and no others.

    Raises BadDataset for a file without enough queries whose right items are in the bundle.
    """
    progress = progress or NoProgress()
    pipeline = SearchPipeline.open(root)
    query_kind: QueryKind = "images" if pipeline.bundle.items == "texts" else "texts"
    judgments, skipped = _with_right_items(pipeline, answers)
    depth = _depth(pipeline, judgments)
    if query_kind == "texts":
        queries = read_text_queries(judgments, depth, interpret=interpret)
    else:
        source = str(pool or judgments.path)
        queries = encode_image_queries(pipeline, judgments, source, depth, progress)
    mean = average_items(pipeline.bundle.vectors)
    vectors = _encode(pipeline, queries)
    judged = judge_stages(pipeline, judgments, queries, vectors, mean, progress)
    if not all(map(_has_right_hits, judged.values())):
        raise BadDataset(
            f"{judgments.path}: no answer has a right item among its first {depth} hits, so there "
            "is nothing to fit"
        )
    predictions, chosen = cross_fit(judged, kind), choose_kind(judged, kind)
    served = list(predictions)[-1]
    content = CalibrationFile(
        query_kind=query_kind,
        interpret=interpret,
        depth=depth,
        mean=tuple(mean.vector.tolist()),
        curves={
            stages: fit_curves(answers, chosen, predictions[stages].threshold)
            for stages, answers in judged.items()
        },
        figures=_measure(predictions[served]),
    )
    count = len(judgments.rows)
    return FittedCalibration(content, chosen, pipeline.bundle.version, count, skipped)


def _has_right_hits(answers: Sequence[JudgedAnswer]) -> bool:
    return any(answer.present.right.any() for answer in answers)


def _with_right_items(pipeline: SearchPipeline, answers: Path | str) -> tuple[Judgments, int]:
    """Return the judgments of queries with a right item in the pool, and how many have none."""
    texts = pipeline.bundle.items == "texts"
    judgments = read_judgments(answers, "image_to_text" if texts else "text_to_image")
    if (judgments.direction == "image_to_text") != texts:
        kind = "texts" if judgments.direction == "image_to_text" else "images"
        raise BadDataset(f"{judgments.path} asks for {kind}, and the bundle does not hold them")
    ids = pipeline.bundle.ids
    rows = tuple(
        row for row in judgments.rows if any(ids.key(str(item)) is not None for item in row.correct)
    )
    if len(rows) < FEWEST_QUERIES:
        raise BadDataset(
            f"{judgments.path}: {len(rows)} queries have a right item in the bundle; a calibration "
            f"needs at least {FEWEST_QUERIES}, and some hundreds to be reliable"
        )
    return replace(judgments, rows=rows), len(judgments.rows) - len(rows)


def _depth(pipeline: SearchPipeline, judgments: Judgments) -> int:
    """Return how many hits every answer has, its right items removed."""
    most = max(len(set(map(str, row.correct))) for row in judgments.rows)
    depth = min(DEPTH, pipeline.bundle.item_count - most)
    if depth < 1:
        raise BadDataset(f"{judgments.path}: all items are right for a query")
    return depth


def _encode(pipeline: SearchPipeline, queries: Sequence[Query]) -> Vectors:
    """Return the vectors of queries of texts and images, (n, d)."""
    texts = list(dict.fromkeys(text for query in queries for text in query.texts))
    encoded = dict(zip(texts, pipeline.encode_texts(texts).vectors, strict=True)) if texts else {}
    rows = []
    for query in queries:
        images = [part.vector for part in query.parts if isinstance(part, VectorPart)]
        rows.append(combine(query.parts, images or [encoded[text] for text in query.texts]))
    return np.stack(rows)


def _measure(predictions: Predictions) -> FittedFigures:
    answers, found = predictions.answers, predictions.found
    reaches = answers >= predictions.threshold
    return FittedFigures(
        hit_ece=_figure(calibration_error(predictions.hits, predictions.right)),
        answer_ece=_figure(calibration_error(answers, found)),
        auroc=_figure(auroc(answers, np.tile((1.0, 0.0), (len(answers), 1)))),
        auroc_found=_figure(auroc(answers, found)),
        hit_curve=_bins(reliability_curve(predictions.hits, predictions.right)),
        answer_curve=_bins(reliability_curve(answers, found)),
        kept=float(reaches[found > 0].mean()),
        recognised=float(1 - reaches[:, 1].mean()),
    )


def _figure(estimate: Estimate) -> FittedFigure:
    return FittedFigure(**asdict(estimate))


def _bins(bins: Sequence[ReliabilityBin]) -> tuple[FittedBin, ...]:
    return tuple(FittedBin(**asdict(each)) for each in bins)
