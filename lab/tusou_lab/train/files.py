"""Writes what torch saves so that a kill leaves the old file or the new one."""

from io import BytesIO
from pathlib import Path

import torch

from tusou.core.files import write_file


def save_torch(value: object, path: Path) -> None:
    """Save durably by way of a side file."""
    data = BytesIO()
    torch.save(value, data)
    write_file(path, data.getvalue())
