"""The options `--quiet` and `--verbose` that every verb has."""

import inspect
import logging
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Annotated, Any, Literal

import typer

Verbosity = Literal["quiet", "normal", "verbose"]

_current: ContextVar[Verbosity] = ContextVar("verbosity", default="normal")

_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
_Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log what is done, and where an error arose.")
]


def verbosity() -> Verbosity:
    """Return the verbosity of the running verb."""
    return _current.get()


def with_verbosity(verb: Callable[..., None]) -> Callable[..., None]:
    """Return the function of a verb with the two options, as typer reads them."""

    @wraps(verb)
    def run(*args: Any, quiet: bool = False, verbose: bool = False, **options: Any) -> None:
        if quiet and verbose:
            raise typer.BadParameter("Give --quiet or --verbose, not both.")
        if verbose:
            logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        token = _current.set("quiet" if quiet else "verbose" if verbose else "normal")
        try:
            verb(*args, **options)
        finally:
            _current.reset(token)

    signature, keyword = inspect.signature(verb), inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, keyword, default=False, annotation=annotation)
        for name, annotation in (("quiet", _Quiet), ("verbose", _Verbose))
    ]
    parameters = [*signature.parameters.values(), *added]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {**verb.__annotations__, "quiet": _Quiet, "verbose": _Verbose}
    return run
