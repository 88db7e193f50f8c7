"""Copies the licence and the card of a model to what is made of it."""

import shutil
from pathlib import Path

from tusou.encoders import Weights, find_license
from tusou.encoders.model_folder import ModelFolder

_CARD = "README.md"
_NAMES = (_CARD, "LICENSE", "LICENCE", "NOTICE", "COPYING")


def license_files(folder: Path) -> list[Path]:
    """Return the card and the files of the licence in a folder."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and _is_one(path.name)]


def copy_licenses(source: Path, out: Path, prefix: str = "") -> None:
    """Copy them from one folder to another, each under its name after a prefix."""
    for path in license_files(source):
        shutil.copyfile(path, out / f"{prefix}{path.name}")


def write_licenses(weights: Weights, out: Path) -> None:
    """Copy the files of a model's licence to a folder, or write a card with its name, if known."""
    if isinstance(weights.file, ModelFolder):
        copy_licenses(weights.path, out)
    named = find_license(weights)
    if named is not None and not (out / _CARD).exists():
        (out / _CARD).write_text(f"---\nlicense: {named}\n---\n", encoding="utf-8")


def _is_one(name: str) -> bool:
    return name.startswith(_NAMES)
