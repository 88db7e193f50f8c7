"""The service's log: JSON lines, or readable ones on a terminal."""

import json
import logging
import os
import pty
import subprocess
import sys

import pytest
from tusou_service.logging_config import JsonLines, TextLines

_CODE = """
import logging, sys
from tusou_service.logging_config import configure
configure("info", *sys.argv[1:])
logging.getLogger("x").info("serving", extra={"fields": {"items": 3}})
"""


def logged(*log_format: str, terminal: bool) -> str:
    """Return what a process logs to a terminal or to a file."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    command = [sys.executable, "-c", _CODE, *log_format]
    subprocess.run(command, stderr=writer, check=True)
    text = os.read(reader, 1000).decode()
    os.close(reader)
    os.close(writer)
    return text.strip()


@pytest.mark.parametrize(
    ("log_format", "terminal", "is_json"),
    [
        ((), True, False),
        ((), False, True),
        (("json",), True, True),
        (("text",), False, False),
    ],
)
def test_a_terminal_gets_text_unless_told_otherwise(
    log_format: tuple[str, ...], terminal: bool, is_json: bool
) -> None:
    line = logged(*log_format, terminal=terminal)
    if is_json:
        assert json.loads(line)["items"] == 3
    else:
        assert line.endswith("info    serving items=3")


def test_no_value_begins_a_second_line() -> None:
    record = logging.makeLogRecord(
        {"msg": "a\nb", "fields": {"route": "x\x1b[2J\u202e", "q": "裙"}}
    )
    text = TextLines().format(record)
    assert text.isprintable()
    assert text.endswith(r'"a\nb" route="x\u001b[2J\u202e" q=裙')
    assert "\n" not in JsonLines().format(record)
