"""The template of the queries that a model was trained with, by the records beside it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tusou.core.errors import BadModel
from tusou.encoders.conversion_record import read_conversion
from tusou.encoders.soup_record import read_soup
from tusou.encoders.training_record import TrainingRecord, read_record


def training_prompt(model: Path, sha256: str) -> str | None:
    """Return the template that a model's training put its queries into, empty for none.

    `sha256` is the model's digest. A conversion and an average have the template of what they were
    made from. Returns None if it is not known: the record is absent, damaged or of other weights.
    """
    readers: tuple[Callable[[Path, str], str | None], ...] = (_trained, _converted, _averaged)
    for read in readers:
        with suppress(BadModel):
            if (prompt := read(model, sha256)) is not None:
                return prompt
    return None


def _trained(model: Path, sha256: str) -> str | None:
    return _prompt_of(read_record(model), sha256)


def _converted(model: Path, sha256: str) -> str | None:
    record = read_conversion(model)
    if record is None or record.sha256 != sha256:
        return None
    return _prompt_of(record.training, record.source_sha256)


def _averaged(model: Path, sha256: str) -> str | None:
    record = read_soup(model)
    return record.prompt if record is not None and record.sha256 == sha256 else None


def _prompt_of(record: TrainingRecord | None, sha256: str) -> str | None:
    if record is None or record.checkpoint_sha256 != sha256:
        return None
    return str(record.settings.get("prompt", ""))
