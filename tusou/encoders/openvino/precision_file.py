"""The precision that `auto` takes for a tower on each processor, kept beside the weights.

`text-auto-2-<digest of the weights>.json` of the cache has an entry for every processor that has
measured the tower, by the processor's name. This module imports no OpenVINO.
"""

import logging
import math
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tusou.core.files import write_file
from tusou.core.hardware import processor_name
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights
from tusou.encoders.openvino.cache import cache_folder, cache_key

# Ranks suffer a little in bf16, so that a smaller gain is not worth it.
_WORTHWHILE = 1.1

_log = logging.getLogger(__name__)


class MeasuredPrecision(BaseModel):
    """The fastest times of a tower in fp32 and in bf16 on one processor, and what follows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    openvino: str  # its version
    cores: int
    # Milliseconds by task, such as "1 text".
    fp32: dict[str, float] = Field(min_length=1)
    bf16: dict[str, float] = Field(min_length=1)

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """The faster precision: bf16 if it is by a tenth, as the geometric mean of all work."""
        gains = [math.log(self.fp32[work] / self.bf16[work]) for work in self.fp32]
        return "bf16" if sum(gains) / len(gains) >= math.log(_WORTHWHILE) else "fp32"

    def __str__(self) -> str:
        """Return the choice and the times behind it, in one line."""
        times = (
            f"{work} {self.bf16[work]:.3g} ms in bf16, {self.fp32[work]:.3g} ms in fp32"
            for work in self.fp32
        )
        return f"{self.precision} ({'; '.join(times)})"


_ENTRIES = TypeAdapter(dict[str, MeasuredPrecision])


def read_measured(weights: Weights, tower: Tower, variant: str = "") -> MeasuredPrecision | None:
    """Return what this processor has measured with this OpenVINO; None if it has not.

    `variant` is that of a `ResolvedEncoder`.
    """
    entry = _read(_path(weights, tower, variant)).get(processor_name())
    return entry if entry is not None and entry.openvino == _openvino_version() else None


def write_measured(
    weights: Weights, tower: Tower, measured: MeasuredPrecision, variant: str = ""
) -> None:
    """Keep a measurement of this processor; OSError if nothing can be written.

    Those of other processors stay, and those of earlier weights are deleted.
    """
    path = _path(weights, tower, variant)
    entries = _read(path) | {processor_name(): measured}
    write_file(path, _ENTRIES.dump_json(entries, indent=1))
    for old in path.parent.glob(f"{tower}-auto-*.json"):
        if old != path:
            old.unlink(missing_ok=True)


def _path(weights: Weights, tower: Tower, variant: str) -> Path:
    return cache_folder(weights) / f"{cache_key(weights, tower, 'auto', variant)}.json"


def _read(path: Path) -> dict[str, MeasuredPrecision]:
    try:
        entries = _ENTRIES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError):
        _log.warning("%s is damaged: the precision of auto is measured again", path)
        return {}
    return {name: entry for name, entry in entries.items() if _is_complete(entry)}


def _is_complete(entry: MeasuredPrecision) -> bool:
    times = [*entry.fp32.values(), *entry.bf16.values()]
    return entry.fp32.keys() == entry.bf16.keys() and all(0 < each < math.inf for each in times)


def _openvino_version() -> str:
    try:
        return version("openvino")
    except PackageNotFoundError:
        return ""
