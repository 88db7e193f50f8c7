"""The prompt that `tusou train` trained a model with."""

from contextlib import suppress
from pathlib import Path

from tusou.bundle.model_record import ModelMember
from tusou.core.errors import BadModel
from tusou.encoders.training_record import read_record


def training_prompt(model: ModelMember) -> str | None:
    """Return the template that a model's training put its queries into.

    Returns None for a model that was trained without one, or whose record is absent, damaged or of
    other weights.
    """
    with suppress(BadModel):
        record = read_record(Path(model.location))
        if record is not None and record.checkpoint_sha256 == model.sha256:
            return str(record.settings.get("prompt") or "") or None
    return None
