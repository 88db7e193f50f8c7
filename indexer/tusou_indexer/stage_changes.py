"""Changes of the stages of a bundle's searches, without its source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Manifest
from tusou.bundle.revise import revise
from tusou.bundle.stages import CALIBRATION, RERANK_FILES, FeedbackRecord, RerankRecord
from tusou.core.errors import InvalidRequest

# The files that only one stage needs.
_FILES = {"calibration": (CALIBRATION,), "rerank": RERANK_FILES}


@dataclass(frozen=True, slots=True)
class StageChange:
    """One change: records of stages by name, and the files that belong to them."""

    stages: Mapping[str, Any] = field(default_factory=dict)  # None takes a stage away
    manifest: Mapping[str, Any] = field(default_factory=dict)  # other fields to replace
    add: Mapping[str, Path] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()


def change_stages(
    root: Path,
    changes: Iterable[StageChange],
    out: Path | None = None,
    version: str | None = None,
) -> Bundle:
    """Publish a version with other stages; errors as for `revise`.

    A calibration belongs to the stages that it was fitted with: a change of others takes it away.
    """
    stages: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    add: dict[str, Path] = {}
    drop: set[str] = set()
    for change in changes:
        stages |= change.stages
        fields |= change.manifest
        add |= change.add
        drop |= change.drop
    if stages.keys() - {"calibration"}:
        removed = take_away(Bundle.open(root), ["calibration"])
        stages, drop = {**stages, **removed.stages}, drop | removed.drop

    def changed(manifest: Manifest) -> Manifest:
        update = {**fields, "stages": manifest.stages.model_copy(update=stages)}
        return manifest.model_copy(update=update)

    return revise(root, changed, out=out, version=version, add=add, drop=drop)


def set_feedback(text: str) -> StageChange:
    """Return the change for ITEMS:WEIGHT, such as 5:0.3; InvalidRequest."""
    items, _, weight = text.partition(":")
    try:
        record = FeedbackRecord(items=int(items), weight=float(weight))
    except ValueError:
        raise InvalidRequest(
            f"--feedback {text!r}: give ITEMS:WEIGHT, such as 5:0.3 (1 to 100 items, a weight "
            "above 0 and at most 10)"
        ) from None
    return StageChange({"feedback": record})


def set_rerank_limits(
    record: RerankRecord | None, depth: int | None, weight: float | None, deadline_ms: int | None
) -> StageChange:
    """Return the change of a reranker's limits; InvalidRequest without a reranker."""
    given = {"depth": depth, "weight": weight, "deadline_ms": deadline_ms}
    limits = {name: value for name, value in given.items() if value is not None}
    if not limits:
        return StageChange()
    if record is None:
        raise InvalidRequest("the bundle has no reranker; give one with --rerank or --rerank-url")
    return StageChange({"rerank": record.model_copy(update=limits)})


def take_away(bundle: Bundle, names: Iterable[str]) -> StageChange:
    """Return the change that takes stages away, with the files that only they need."""
    names = set(names)
    files = {file for name in names for file in _FILES.get(name, ())}
    return StageChange(dict.fromkeys(names), drop=frozenset(files & set(bundle.manifest.files)))
