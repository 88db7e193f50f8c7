"""Keeps the commands that made the bundles of a ladder."""

from pathlib import Path

from tusou_lab.run_commands import Echo

COMMANDS = "commands.txt"


def log_commands(folder: Path) -> Echo:
    """Return a function that appends each command line to a file."""

    def write(line: str) -> None:
        if line.startswith("$ "):
            with (folder / COMMANDS).open("a", encoding="utf-8") as file:
                file.write(f"{line.removeprefix('$ ')}\n")

    return write
