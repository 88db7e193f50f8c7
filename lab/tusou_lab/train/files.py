"""Files that a training writes: states and models, each replaced in one step."""

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Literal

import torch

from tusou.core.errors import OutputExists
from tusou.core.files import sync, temporary_of, write_file
from tusou.encoders.model_folder import is_model_folder


def save_torch(value: object, path: Path) -> None:
    """Save what `torch.save` takes, replacing `path` in one step."""
    data = BytesIO()
    torch.save(value, data)
    write_file(path, data.getvalue())


def check_kind(path: Path, kind: Literal["file", "folder"]) -> None:
    """Raise OutputExists if `path` cannot be replaced by a file or by a model folder."""
    if not path.exists():
        return
    if kind == "file":
        if path.is_dir():
            raise OutputExists(f"{path} is a folder, and a file is written: choose another --out")
    elif not (is_model_folder(path) or (path.is_dir() and not any(path.iterdir()))):
        raise OutputExists(f"{path} exists and is not a model folder: choose another --out")


def replace_model_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Fill a new folder by `write`, and replace the model at `path` with it, if there is one.

    A crash leaves the old model, the new one, or for a moment neither; the state of the training,
    which is saved afterwards, then writes it again. Raises OutputExists if `path` is something else
    than a model.
    """
    check_kind(path, "folder")
    new, old = temporary_of(path), path.with_name(f".{path.name}.old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir(parents=True)
    write(new)
    for file in (*(file for file in new.rglob("*") if file.is_file()), new):
        sync(file)
    if path.exists():
        path.rename(old)
    new.rename(path)
    sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)
