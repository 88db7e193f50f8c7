"""The file of a calibration: functions from the scores of a hit to its relevance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tusou.core.errors import CorruptBundle

# Inputs of the relevance. Those of a stage are known if the stage has run.
Feature: TypeAlias = Literal["score", "margin", "best", "refused", "hub_bias", "rerank"]
QueryKind: TypeAlias = Literal["texts", "images"]
# The stages that have scored a hit; "retrieve" is the index alone.
StageNames: TypeAlias = Literal["retrieve", "adjust", "rerank", "adjust+rerank"]
STAGE_NAMES: Mapping[tuple[bool, bool], StageNames] = {  # by whether it was adjusted, and reranked
    (False, False): "retrieve",
    (True, False): "adjust",
    (False, True): "rerank",
    (True, True): "adjust+rerank",
}

MAX_CALIBRATION_BYTES = 16 * 2**20
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, lt=2**62)]


class _CalibrationPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Curve(_CalibrationPart):
    """A probability as a function of features: a weighted sum, then a curve that never falls.

    The curve is the logistic one, or goes in straight lines from knot to knot.
    """

    weights: dict[Feature, _Number]
    intercept: _Number
    knots: tuple[tuple[_Number, _Share], ...] = ()  # sums and probabilities, ascending

    @model_validator(mode="after")
    def _never_falls(self) -> Self:
        pairs = zip(self.knots, self.knots[1:], strict=False)
        if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairs):
            raise ValueError("the knots do not ascend")
        return self


class RelevanceCurves(_CalibrationPart):
    """The relevance of hits that the same stages have scored, and of answers that they begin."""

    hit: Curve  # that the hit is right
    answer: Curve  # that one of the first hits is right, from the features of the first
    threshold: _Share  # below it, an answer holds nothing that fits


class FittedFigure(_CalibrationPart):
    """A figure on queries that fitted nothing, with its 95 % interval."""

    value: _Share
    low: _Share
    high: _Share


class FittedBin(_CalibrationPart):
    """One bin of a reliability curve."""

    values: _Count
    predicted: _Share
    observed: _Share


class FittedFigures(_CalibrationPart):
    """The accuracy of the relevances, measured on queries that fitted nothing."""

    hit_ece: FittedFigure
    answer_ece: FittedFigure
    auroc: FittedFigure  # of answers with the right items in the pool and without them
    auroc_found: FittedFigure  # of answers that hold a right item and those that do not
    hit_curve: tuple[FittedBin, ...]
    answer_curve: tuple[FittedBin, ...]
    kept: _Share  # share of the answers that hold a right item which the threshold lets pass
    recognised: _Share  # share of the answers without right items which it marks


class CalibrationFile(_CalibrationPart):
    """The content of `calibration.json`."""

    query_kind: QueryKind  # of the queries that it was fitted on, and serves
    interpret: bool = True  # what a text refuses was subtracted
    depth: Annotated[int, Field(ge=1)]  # the hits of each query that it was fitted on
    mean: tuple[_Number, ...]  # mean vector of the items, (d,)
    curves: dict[StageNames, RelevanceCurves]
    figures: FittedFigures  # with all stages

    @model_validator(mode="after")
    def _begin_with_retrieval(self) -> Self:
        if "retrieve" not in self.curves:
            raise ValueError("no curves for hits of the index alone")
        return self


def read_calibration(path: Path, dim: int) -> CalibrationFile:
    """Read and check a calibration; CorruptBundle."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_CALIBRATION_BYTES else b""
        content = CalibrationFile.model_validate_json(data)
    except OSError:
        raise CorruptBundle(f"{path} cannot be read; run `tusou calibrate` again") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CorruptBundle(
            f"{path}: wrong value at {where or 'the top'}; run `tusou calibrate` again"
        ) from None
    if len(content.mean) != dim:
        raise CorruptBundle(f"{path}: wrong value at mean; run `tusou calibrate` again")
    return content
