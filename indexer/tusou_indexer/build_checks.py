"""Checks of a build: its output folder, its unusable lines and the recall of its index."""

import math
from pathlib import Path

from tusou.bundle.bundle import CURRENT
from tusou.bundle.manifest import FAILURES, Counts, IndexRecord
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists

WORK = ".build"


def check_output(out: Path) -> None:
    """Raise OutputExists if the output is a file, or a folder of something else."""
    if out.is_file():
        raise OutputExists(f"{out} is a file; give the folder of a bundle to --out")
    if out.is_dir() and any(out.iterdir()):
        is_bundle = any((out / name).exists() for name in (CURRENT, WORK, ".lock"))
        if not is_bundle:
            raise OutputExists(f"{out} holds something else than a bundle; give another --out")


def check_failures(max_bad: str, counts: Counts, folder: Path) -> None:
    """Raise BadDataset if more lines are unusable than `max_bad` allows; they are in `folder`."""
    if counts.failed > allowed_failures(max_bad, counts.items):
        raise BadDataset(
            f"{counts.failed} of {counts.items} lines cannot be used, more than --max-bad "
            f"{max_bad} allows; they are listed in {folder / FAILURES}"
        )


def allowed_failures(max_bad: str, lines: int) -> int:
    """Return how many of the lines may be unusable; InvalidRequest for other text."""
    is_share = max_bad.endswith("%")
    try:
        value = float(max_bad[:-1]) if is_share else int(max_bad)
    except ValueError:
        value = -1
    if not 0 <= value <= (100 if is_share else math.inf):  # False for NaN
        raise InvalidRequest(
            f"--max-bad {max_bad!r}: give a count such as 10 or a share such as 1%"
        )
    return int(lines * value / 100) if is_share else int(value)


def check_recall(index: IndexRecord) -> None:
    """Raise InvalidRequest if an index misses its target."""
    if index.missed_target:
        raise InvalidRequest(
            f"index_recall@10 is {index.index_recall_at_10:.4f}, below the target of "
            f"{index.target_recall:g}, so nothing was published; choose another --index or a lower "
            "--target-recall, or leave out --strict-recall"
        )
