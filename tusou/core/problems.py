"""Lists of problems in error messages: the first ones, and a file that holds all."""

from collections.abc import Sequence
from tempfile import NamedTemporaryFile

# Problems that one message lists.
MAX_LISTED = 20


def list_problems(problems: Sequence[str]) -> str:
    """Return the problems for a message, each on a line of its own.

    Of more than 20, the first 20 are listed, with the number of the others and the name of a file
    that holds all; without the file if it cannot be written.
    """
    listed = list(problems[:MAX_LISTED])
    if len(problems) > MAX_LISTED:
        listed.append(f"and {len(problems) - MAX_LISTED} more{_write_all(problems)}")
    return "".join(f"\n  {problem}" for problem in listed)


def _write_all(problems: Sequence[str]) -> str:
    """Write all problems to a temporary file; return how a message refers to it."""
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", prefix="tusou-problems-", suffix=".txt", delete=False
        ) as file:
            file.writelines(f"{problem}\n" for problem in problems)
    except OSError:
        return ""
    return f"; all of them are in {file.name}"
