"""JSON files that begin with their own digest, so that a changed byte is noticed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tusou.core.files import write_file


def write_sealed(path: Path, value: object) -> str:
    """Write a JSON value durably; return its SHA-256 in hexadecimal."""
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    write_file(path, f"{digest}\n".encode() + data)
    return digest


def read_sealed(path: Path) -> tuple[Any, str]:
    """Return the value that `write_sealed` wrote and its digest; ValueError if a byte differs."""
    seal, _, data = path.read_bytes().partition(b"\n")
    digest = hashlib.sha256(data).hexdigest()
    if seal != digest.encode():
        raise ValueError(f"{path} has changed since it was written")
    return json.loads(data), digest
