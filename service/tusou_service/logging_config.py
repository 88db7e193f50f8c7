"""Logging on stderr: readable lines on a terminal, JSON lines elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["auto", "text", "json"]

MAX_QUERY_CHARS = 128


class JsonLines(logging.Formatter):
    """Formats a record as one ASCII line, so that no client can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the fields passed as `extra={"fields": {...}}`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Formats a record for people: time, level, message, and fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows on lines of its own."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = "".join(
            f" {name}={_readable(value)}" for name, value in getattr(record, "fields", {}).items()
        )
        line = f"{time} {record.levelname.lower():7} {_readable(record.getMessage())}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _readable(value: object) -> str:
    """Return a value as text of one line, whatever a client put into it."""
    text = str(value)
    return text if text.isprintable() else json.dumps(text)


def configure(level: str, log_format: LogFormat = "auto") -> None:
    """Send the records of all loggers, from this level up, to stderr.

    `auto` is text if stderr is a terminal, else JSON.
    """
    handler = logging.StreamHandler(sys.stderr)
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextLines() if as_text else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These two log their own start and end at "info".
    for name in ("uvicorn", "faiss"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
