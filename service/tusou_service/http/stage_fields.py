"""The fields of requests and responses about the stages after retrieval."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from tusou.core.hits import Hits
from tusou.retrieval.query import Query


class StageFields(BaseModel):
    """The fields of a search that choose among the stages of the bundle."""

    adjust: bool = Field(
        default=True,
        description="Whether hub correction and feedback, if the index has them, change the order.",
        examples=[False],
    )
    rerank: bool = Field(
        default=True,
        description="Whether the index's reranker, if it has one, scores the first items anew.",
        examples=[False],
    )
    min_relevance: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Leave out items of less relevance; the index needs a calibration.",
        examples=[0.5],
    )
    explain: bool = Field(
        default=False, description="Whether to return the score of each stage.", examples=[True]
    )


class StageScores(BaseModel):
    """The scores of the stages for one query's items; a field is there if its stage ran."""

    adjusted_scores: tuple[float, ...] | None = Field(
        None,
        description="Parallel to item_ids: the scores that hub correction and feedback ordered the "
        "items by.",
    )
    rerank: Literal["complete", "partial", "failed"] | None = Field(
        None,
        description="Whether the reranker scored all of the first items: those without a score "
        "keep their place.",
    )
    relevance: tuple[float, ...] | None = Field(
        None,
        description="Parallel to item_ids, with a calibration: the probability that the item fits.",
    )
    answer_relevance: float | None = Field(
        None, description="The probability that one of the first ten items fits."
    )
    matched: bool | None = Field(
        None, description="Whether anything fits; false beside items: they only come nearest."
    )
    stage_scores: tuple[dict[str, float], ...] | None = Field(
        None,
        description="Parallel to item_ids, with explain: the item's score by stage: retrieve, "
        "adjust, rerank.",
    )


def stage_options(fields: StageFields) -> dict[str, Any]:
    """Return the arguments of `Query` about stages, without those that have their default."""
    names = ("adjust", "rerank", "explain", "min_relevance")
    options = {name: getattr(fields, name) for name in names}
    defaults = {name: StageFields.model_fields[name].default for name in names}
    return {name: value for name, value in options.items() if value != defaults[name]}


def stage_scores(query: Query, hits: Hits) -> dict[str, Any]:
    """Return the fields of `StageScores` that a response has."""
    fields: dict[str, Any] = {}
    if hits.adjusted_scores:
        fields["adjusted_scores"] = hits.adjusted_scores
    if hits.rerank is not None:
        fields["rerank"] = hits.rerank
    if hits.matched is not None:
        fields["relevance"] = hits.relevance
        fields["answer_relevance"] = hits.answer_relevance
        fields["matched"] = hits.matched
    if query.explain:
        fields["stage_scores"] = hits.stage_scores
    return fields
