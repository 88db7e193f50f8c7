"""The model that a soup is blended with, and its share."""

from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import InvalidRequest
from tusou.encoders import find_weights
from tusou.encoders.training_record import read_record

START = "start"
SHARES = tuple(step / 10 for step in range(11))  # tried where a share is to be chosen


@dataclass(frozen=True, slots=True)
class Blend:
    """A model and its share of the result; the share is None if validation chooses it."""

    model: str
    share: float | None


def read_blend(text: str, members: list[str]) -> Blend:
    """Return the blend of `MODEL` or `MODEL:SHARE`; `start` is what the members were trained from.

    Raises InvalidRequest for a share outside of 0 to 1, and for `start` if the records of the
    members do not name one model that is still the same.
    """
    model, colon, tail = text.rpartition(":")
    share = None
    try:
        share = float(tail) if colon else None
    except ValueError:
        model = text
    if not colon:
        model = text
    if share is not None and not 0 <= share <= 1:
        raise InvalidRequest(f"--blend {text}: the share must be between 0 and 1")
    return Blend(_find_start(members) if model == START else model, share)


def _find_start(members: list[str]) -> str:
    starts = set()
    for member in members:
        record = read_record(find_weights(member).path)
        if record is None or "model" not in record.settings:
            raise InvalidRequest(
                f"{member} has no record that says what it was trained from: name the model "
                "instead, as in --blend MODEL:0.3"
            )
        starts.add((str(record.settings["model"]), str(record.settings.get("model_sha256"))))
    if len(starts) > 1:
        names = ", ".join(sorted(name for name, _ in starts))
        raise InvalidRequest(f"the models were not trained from the same model, but from {names}")
    name, digest = starts.pop()
    if Path(name).suffix == ".json":
        raise InvalidRequest(f"the models were trained from {name}, whose weights are random")
    if find_weights(name).digest != digest:
        raise InvalidRequest(f"{name} has changed since the models were trained from it")
    return name
