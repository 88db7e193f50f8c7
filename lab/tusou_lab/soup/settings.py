"""The settings that models of a soup must share: preprocessing, tokenizer and prompt."""

from collections.abc import Mapping
from pathlib import Path

from tusou.bundle.model_record import differing_fields
from tusou.core.errors import InvalidRequest
from tusou.encoders import Weights
from tusou.encoders.families import find_family
from tusou.encoders.training_prompt import training_prompt

_WEIGHTS = ("logit_scale ", "logit_bias ")  # are averaged like all others


def check_same_settings(first: Weights, other: Weights) -> None:
    """Raise InvalidRequest, naming a setting, if two models read their inputs differently."""
    records = [find_family(weights).describe(weights) for weights in (first, other)]
    differing = [text for text in differing_fields(*records) if not text.startswith(_WEIGHTS)]
    if differing:
        raise InvalidRequest(
            f"{first.name} and {other.name} cannot be averaged: {differing[0]}; all models of a "
            "soup must read images and texts in the same way"
        )


def shared_prompt(models: Mapping[str, Weights], blended: str | None) -> str:
    """Return the template of queries that models were trained with, empty for none.

    Models whose training is not known take part in any. The one that is blended in may have been
    trained without a template, as a start is. Raises InvalidRequest if two have different ones.
    """
    prompts = {
        name: prompt
        for name, weights in models.items()
        if (prompt := training_prompt(Path(weights.path), weights.digest)) is not None
        and (prompt or name != blended)
    }
    if len(set(prompts.values())) > 1:
        listed = ", ".join(f"{name} with {prompt!r}" for name, prompt in prompts.items())
        raise InvalidRequest(
            f"the models were trained with different prompts, but a soup has only one: {listed}"
        )
    return next(iter(prompts.values()), "")
