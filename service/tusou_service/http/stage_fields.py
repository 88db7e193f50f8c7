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
    explain: bool = Field(
        default=False, description="Whether to return the score of each stage.", examples=[True]
    )


class StageScores(BaseModel):
    """What the stages made of one query's items; each field is there if its stage ran."""

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
    stage_scores: tuple[dict[str, float], ...] | None = Field(
        None,
        description="Parallel to item_ids, with explain: the item's score by stage: retrieve, "
        "adjust, rerank.",
    )


def stage_options(fields: StageFields) -> dict[str, Any]:
    """Return the arguments of `Query` about stages, without those that have their default."""
    options = {"adjust": fields.adjust, "rerank": fields.rerank, "explain": fields.explain}
    return {name: value for name, value in options.items() if value != (name != "explain")}


def stage_scores(query: Query, hits: Hits) -> dict[str, Any]:
    """Return the fields of `StageScores` that a response has."""
    fields: dict[str, Any] = {}
    if hits.adjusted_scores:
        fields["adjusted_scores"] = hits.adjusted_scores
    if hits.rerank is not None:
        fields["rerank"] = hits.rerank
    if query.explain:
        fields["stage_scores"] = hits.stage_scores
    return fields
