"""The licence that a model's files name."""

from pathlib import Path

from tusou.encoders.base import Weights
from tusou.encoders.conversion_record import read_conversion
from tusou.encoders.model_folder import ModelFolder

_CARD = "README.md"
_FENCE = "---"
_OTHER = "other"  # the hubs' name for a licence that the card names elsewhere


def find_license(weights: Weights) -> str | None:
    """Return the licence that a folder's files name, or the record of a checkpoint's conversion.

    Raises BadModel for a damaged record.
    """
    if isinstance(weights.file, ModelFolder):
        return read_license(weights.file)
    made = read_conversion(weights.path)
    return made.license if made is not None and made.sha256 == weights.digest else None


def read_license(folder: ModelFolder) -> str | None:
    """Return the licence in the front matter of the model's card, or in its configuration."""
    return read_card_license(folder.path, folder.config.get("license"))


def read_card_license(folder: Path, default: object = None) -> str | None:
    """Return the licence in the front matter of the card in a folder, or else the default."""
    card = _read_front_matter(folder)
    name = card.get("license") or default
    if name in {None, _OTHER}:
        name = card.get("license_name") or name
    return name if isinstance(name, str) else None


def _read_front_matter(folder: Path) -> dict[str, str]:
    """Return the plain values of the YAML at the head of the card; other kinds are left out."""
    try:
        text = (folder / _CARD).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    head, *lines = text.split("\n")
    if head.strip() != _FENCE:
        return {}
    values = {}
    for line in lines:
        if line.strip() == _FENCE:
            break
        name, colon, value = line.partition(":")
        if colon and not name.startswith((" ", "-")):
            values[name.strip()] = value.strip().strip("\"'")
    return values
