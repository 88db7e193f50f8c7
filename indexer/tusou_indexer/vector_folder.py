"""A folder of vectors for other programs: the array, its ids, and a record of their origin.

OUT/vectors.npy             (n, d) float32 unit vectors
OUT/ids.txt                 an id for each row, one a line
OUT/failures.jsonl          rows of the source that have no vector
OUT/embedding.json          model, preprocessing, prompt and counts; written last
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tusou import __version__
from tusou.bundle.manifest import FAILURES, IDS, VECTORS, Counts
from tusou.bundle.model_record import Model
from tusou.core.errors import OutputExists
from tusou.core.files import sha256_of, write_file

RECORD = "embedding.json"
WORK = ".build"
_NAMES = (VECTORS, IDS, FAILURES, RECORD)


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """The result of `tusou embed`."""

    folder: Path
    kind: str  # images, texts or queries
    dim: int
    counts: Counts
    seconds: float


def check_folder(out: Path, *, force: bool) -> None:
    """Raise OutputExists for a file, a folder of something else, or finished vectors."""
    if out.is_file():
        raise OutputExists(f"{out} is a file; give a folder to --out")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if names - {*_NAMES, WORK, ".lock"}:
        raise OutputExists(f"{out} holds something else than vectors; give another --out")
    if RECORD in names and not force:
        raise OutputExists(f"{out} holds finished vectors; give --force to replace them")


def remove_finished(out: Path) -> None:
    """Delete the files of an earlier run, its record first."""
    for name in reversed(_NAMES):
        (out / name).unlink(missing_ok=True)


def origin_record(kind: str, source: str, model: Model, prompt: str | None) -> dict[str, object]:
    """Return what the record of every kind of vectors begins with."""
    return {
        "tool": f"tusou {__version__}",
        "kind": kind,
        "source": source,
        "model": model.model_dump(exclude={"location": True, "members": {"__all__": {"location"}}}),
        "prompt": prompt,
    }


def write_record(out: Path, origin: Mapping[str, object], counts: Counts) -> None:
    """Write the record, after which the folder is complete."""
    files = {
        name: {"size": (out / name).stat().st_size, "sha256": sha256_of(out / name)}
        for name in (VECTORS, IDS, FAILURES)
    }
    record = {**origin, "counts": counts.model_dump(), "files": files}
    write_file(out / RECORD, json.dumps(record, ensure_ascii=False, indent=1).encode() + b"\n")
