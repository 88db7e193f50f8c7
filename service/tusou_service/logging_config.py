"""Logging as JSON lines on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

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


def configure(level: str) -> None:
    """Send the lines of all loggers, from this level on, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These two log their own start and end at "info".
    for name in ("uvicorn", "faiss"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
