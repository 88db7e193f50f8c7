"""The option `--hub` of the verbs that take a model."""

from typing import Annotated, Literal, TypeAlias

import typer

HubChoice: TypeAlias = Literal["huggingface", "modelscope"] | None
Hub: TypeAlias = Annotated[
    HubChoice,
    typer.Option(help="Hub of models that are downloaded; TUSOU_HUB, or huggingface."),
]


def name_model(model: str, hub: HubChoice) -> str:
    """Return the name of a model with its hub, where it is of one; InvalidRequest."""
    if hub is None:
        return model
    from tusou.encoders.model_name import on_hub  # noqa: PLC0415 - imports numpy and pydantic

    return on_hub(model, hub)
