"""The option `--trust-remote-code` of every verb that loads a model."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from tusou.core.remote_code import trust_code

# The verbs that load a model.
MODEL_VERBS = frozenset(
    {
        "calibrate",
        "check",
        "compact",
        "convert-model",
        "distil",
        "embed",
        "evalset pool",
        "evaluate",
        "improve",
        "index",
        "info",
        "report",
        "reproduce",
        "serve",
        "stages",
        "sweep",
        "train",
        "walkthrough",
    }
)

_NAME = "trust_remote_code"
_Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the code that a model's folder holds.")
]


def with_model_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Return the function of a verb with the option, as typer reads it."""

    @wraps(verb)
    def run(*args: Any, trust_remote_code: bool = False, **options: Any) -> None:
        if trust_remote_code:
            trust_code()
        verb(*args, **options)

    signature, keyword = inspect.signature(verb), inspect.Parameter.KEYWORD_ONLY
    added = inspect.Parameter(_NAME, keyword, default=False, annotation=_Trust)
    parameters = [*signature.parameters.values(), added]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {**verb.__annotations__, _NAME: _Trust}
    return run
