"""What every command does alike: one-line errors and JSON results."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tusou.core.errors import Locked, TusouError

# sysexits.h: EX_TEMPFAIL, try again once the other process is done.
EXIT_LOCKED = 75


@contextmanager
def plain_errors() -> Iterator[None]:
    """Show our own errors as one line; let bugs keep their traceback."""
    try:
        yield
    except TusouError as error:
        typer.secho(f"{error.code}: {error}", err=True, fg="red")
        raise typer.Exit(EXIT_LOCKED if isinstance(error, Locked) else 1) from None
    except OSError as error:  # a full disk, a folder that may not be written: not a bug of ours
        where = f": {error.filename}" if error.filename else ""
        typer.secho(f"io_error: {error.strerror or error}{where}", err=True, fg="red")
        raise typer.Exit(1) from None


def print_json(value: object) -> None:
    """Write one JSON document to stdout, Chinese readable."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
