"""JSON lines in memory: one record a line, every unusable line reported with its number."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

BOM = b"\xef\xbb\xbf"

# A line's number in its file, from 1, and what is wrong with it.
LineProblem = tuple[int, str]


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of a file without their ends (LF or CRLF) and the byte order mark.

    An empty file has no lines. Other line separators of Unicode are part of the text.
    """
    data = data.removeprefix(BOM)
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return [line.removesuffix(b"\r") for line in lines]


def parse_lines(
    lines: Sequence[bytes],
    parse: Callable[[bytes], T],
    problems: list[LineProblem],
    first: int = 1,
) -> Iterator[tuple[int, T]]:
    """Yield the number and the parsed record of each line; `first` is the number of the first.

    A line for which `parse` raises ValueError is added to `problems` instead.
    """
    for number, line in enumerate(lines, start=first):
        try:
            record = parse(line)
        except ValueError as error:
            problems.append((number, str(error)))
        else:
            yield number, record
