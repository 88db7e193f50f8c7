"""A calibration that is set by hand, and bundles that have it."""

from pathlib import Path

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.calibration_file import (
    CalibrationFile,
    Curve,
    FittedFigure,
    FittedFigures,
    QueryKind,
    RelevanceCurves,
)
from tusou.bundle.manifest import Manifest
from tusou.bundle.revise import revise
from tusou.bundle.stages import CALIBRATION, CalibrationRecord

_FIGURE = FittedFigure(value=0.5, low=0.4, high=0.6)
FIGURES = FittedFigures(
    hit_ece=_FIGURE,
    answer_ece=_FIGURE,
    auroc=_FIGURE,
    auroc_found=_FIGURE,
    hit_curve=(),
    answer_curve=(),
    kept=1.0,
    recognised=0.0,
)


def logistic(scores: object, center: float, steepness: float = 20.0) -> list[float]:
    """Return the relevances that a calibration of `make_calibration` gives to cosines."""
    sums = steepness * (np.asarray(scores, np.float64) - center)
    values: list[float] = (1 / (1 + np.exp(-sums))).round(6).tolist()
    return values


def make_calibration(
    dim: int,
    center: float = 0.0,
    threshold: float = 0.5,
    query_kind: QueryKind = "texts",
    steepness: float = 20.0,
) -> CalibrationFile:
    """Return a calibration whose relevance is 1/2 at a cosine of `center`."""
    curve = Curve(weights={"score": steepness}, intercept=-steepness * center)
    curves = RelevanceCurves(hit=curve, answer=curve, threshold=threshold)
    return CalibrationFile(
        query_kind=query_kind,
        depth=10,
        mean=(0.0,) * dim,
        curves={"retrieve": curves},
        figures=FIGURES,
    )


def add_calibration(root: Path, content: CalibrationFile, folder: Path) -> Bundle:
    """Publish a version of a bundle with a calibration; `folder` is for a file on the way."""
    record = CalibrationRecord(kind="logistic", queries=40, ece=0.5, auroc=0.5)
    path = folder / CALIBRATION
    path.write_text(content.model_dump_json(), encoding="utf-8")

    def add_record(manifest: Manifest) -> Manifest:
        stages = manifest.stages.model_copy(update={"calibration": record})
        return manifest.model_copy(update={"stages": stages})

    return revise(root, add_record, add={CALIBRATION: path})
