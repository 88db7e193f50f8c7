"""The report of a reproduction: measured and published figures, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from tusou_lab.reproduce.published import METRICS, DataSize, PublishedRow, Training

# Published figures have one decimal, and other precisions and decoders move the last one: those of
# the same weights in ONNX and TensorRT differ by up to 0.2.
_SAME = 0.25

# `no_row`: nothing is published about the architecture. `other_data`: the files are not the
# official ones, so the figures cannot be compared.
Verdict: TypeAlias = Literal["reproduced", "differs", "other_data", "no_row"]


@dataclass(frozen=True, slots=True)
class LadderLine:
    """One rung of `tusou improve`, in percent points of mean_recall on the confirming half."""

    name: str
    above: tuple[str, ...]  # the rungs below it; empty: tried alone
    gain: float | None  # None where nothing was confirmed
    low: float | None  # 95 %, paired
    high: float | None
    ms: float | None  # a query, searched alone
    verdict: str

    @classmethod
    def of(cls, rung: Mapping[str, Any]) -> Self:
        """Return the line of a rung of `tusou improve --json`."""
        gain = rung["gains"].get("mean_recall") or {}
        gained, low, high = (gain.get(name) for name in ("gain", "low", "high"))
        ms = (rung["cost"] or {}).get("ms")
        return cls(rung["name"], tuple(rung["above"]), gained, low, high, ms, rung["verdict"])


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The measured figures, the data and the machine, and the published figures."""

    model: str
    model_sha256: str
    family: str | None  # the published architecture
    size: DataSize
    official: DataSize
    failed_items: int  # images that cannot be used
    percent: Mapping[str, float]
    interval: Mapping[str, tuple[float, float]]  # 95 %
    published: tuple[PublishedRow, ...]
    training: Training  # of the row to compare with
    bundle: str  # version
    index: str
    precision: str
    ladder: tuple[LadderLine, ...]
    machine: str
    date: str
    tusou: str
    seconds: Mapping[str, float]  # by verb

    @property
    def row(self) -> PublishedRow | None:
        """The published row to compare with."""
        return next((row for row in self.published if row.training == self.training), None)

    @property
    def differences(self) -> dict[str, float]:
        """The measured figures less the published ones; empty without a row."""
        if self.row is None:
            return {}
        return {name: round(self.percent[name] - self.row.percent[name], 2) for name in METRICS}

    @property
    def verdict(self) -> Verdict:
        """Return whether the published figures were measured again."""
        if self.row is None:
            return "no_row"
        if self.size != self.official:
            return "other_data"
        same = all(abs(difference) <= _SAME for difference in self.differences.values())
        return "reproduced" if same else "differs"
