"""Parts that all commands share: one-line errors, JSON results, options with a new name."""

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from tusou.cli.verbosity import verbosity
from tusou.core.errors import Locked, TusouError
from tusou.core.memory_budget import memory_shortage_named

# sysexits.h: EX_TEMPFAIL, try again once the other process is done.
EXIT_LOCKED = 75


# As shells report a process that a signal ended: 128 and the signal's number.
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a verb as Ctrl-C does."""


@contextmanager
def plain_errors(*, resumes: bool = False) -> Iterator[None]:
    """Print our errors, and the disk's, as one line `code: message`, and exit; bugs pass through.

    With `resumes`, an interrupted user is told that the same command continues the work. Exit
    status 75 when another process is writing the same artifact, 130 after Ctrl-C, 143 after
    SIGTERM, else 1. `--verbose` shows the traceback before the line.
    """
    try:
        with memory_shortage_named():
            yield
    except KeyboardInterrupt as error:
        hint = ": what is finished is kept, and the same command continues there" if resumes else ""
        typer.secho(f"interrupted{hint}", err=True, fg="red")
        code = EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED
        raise typer.Exit(code) from None
    except TusouError as error:
        _print_traceback()
        typer.secho(f"{error.code}: {error}", err=True, fg="red")
        raise typer.Exit(EXIT_LOCKED if isinstance(error, Locked) else 1) from None
    except BrokenPipeError:  # stdout is `| head`: click ends the process silently
        raise
    except OSError as error:  # a full disk, or a folder that may not be written
        print_io_error(error)
        raise typer.Exit(1) from None


def print_io_error(error: OSError) -> None:
    """Print an error of the disk as one line, and the traceback with `--verbose`."""
    _print_traceback()
    path = f": {error.filename}" if error.filename else ""
    typer.secho(f"io_error: {error.strerror or error}{path}", err=True, fg="red")


def _print_traceback() -> None:
    if verbosity() == "verbose":
        traceback.print_exc()


def print_json(value: object) -> None:
    """Print one JSON document to stdout, with Chinese unescaped."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def warn_outside(missing: int, correct: int) -> None:
    """Warn on stderr that the pool lacks some of the correct items."""
    typer.secho(
        f"warning: {missing} of {correct} correct items are not in the pool; no search can find "
        "them.",
        err=True,
        fg="yellow",
    )


def renamed_option(old: str, new: str) -> Any:
    """Return a hidden option that is refused with a message that names the new one (exit 2)."""

    def refuse(value: str | None) -> None:
        if value is not None:
            raise typer.BadParameter(f"the option is now {new}.")

    return typer.Option(old, hidden=True, callback=refuse)
