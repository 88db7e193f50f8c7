"""Results of a command as JSON, under a key that names their format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tusou.core.errors import BadDataset
from tusou.core.files import write_file

T = TypeVar("T")


def tagged(key: str, number: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a result with its format, as they are stored and printed."""
    return {key: number, **fields}


def write_result(path: Path, key: str, number: int, fields: Mapping[str, Any]) -> None:
    """Write the fields of a result; `key` and `number` are its format."""
    text = json.dumps(tagged(key, number, fields), ensure_ascii=False, indent=1)
    write_file(path, f"{text}\n".encode())


def read_result(path: Path, key: str, number: int, adapter: TypeAdapter[T], verb: str) -> T:
    """Read a result; BadDataset, which names the verb, for anything but this format."""
    try:
        stored = json.loads(path.read_bytes())
        if stored.pop(key) != number:
            raise ValueError("another format")
        return adapter.validate_python(stored)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ValidationError):
        raise BadDataset(
            f"{path} was not written by this version of `{verb} --out`; run it again"
        ) from None
