"""Command-line options that have a new name."""

from typing import Any

import typer


def renamed_option(old: str, new: str) -> Any:
    """Return a hidden option that is refused with a message that names the new one (exit 2)."""

    def refuse(value: str | None) -> None:
        if value is not None:
            raise typer.BadParameter(f"the option is now {new}.")

    return typer.Option(old, hidden=True, callback=refuse)
