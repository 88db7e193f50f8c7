"""Files that a training writes: states and models."""

from io import BytesIO
from pathlib import Path

import torch

from tusou.core.files import write_file


def save_torch(value: object, path: Path) -> None:
    """Save what `torch.save` takes, replacing `path` in one step."""
    data = BytesIO()
    torch.save(value, data)
    write_file(path, data.getvalue())
