"""Notices of a build about its models: a template that it takes, and licences."""

from pathlib import Path

from tusou.bundle.model_record import Model, ModelMember
from tusou.cli.progress import Progress
from tusou.encoders.training_prompt import training_prompt


def choose_prompts(given: tuple[str, ...], model: Model, progress: Progress) -> tuple[str, ...]:
    """Return the templates that are given, or else the one that the model was trained with."""
    templates = {_template(part) for part in model.parts}
    if given or templates == {None}:
        return given
    if len(templates) > 1:
        progress.notice(
            "the models were trained with different templates of queries, and none is used; "
            "--prompt gives one"
        )
        return ()
    (template,) = templates
    assert template is not None
    progress.notice(
        f"queries are put into the template that {model.name} was trained with, {template!r}; "
        "--prompt gives another, and --prompt '{query}' leaves them as they are"
    )
    return (template,)


def _template(part: ModelMember) -> str | None:
    trained = training_prompt(Path(part.location), part.sha256)
    return trained or (part.encoder.template if part.encoder else None)


def notice_licenses(model: Model, progress: Progress) -> None:
    """Report the models whose licence forbids commercial use."""
    for part in model.parts:
        if part.is_non_commercial:
            progress.notice(
                f"the licence of {part.name} is {part.license}, which forbids commercial use"
            )
