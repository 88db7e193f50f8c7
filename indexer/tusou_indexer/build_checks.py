"""Checks of a build: what it would lose, its unusable lines and the recall of its index."""

import math
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import FAILURES, Counts, IndexRecord
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists


def check_live_changes(current: Bundle | None, out: Path) -> None:
    """Raise OutputExists if the version before holds live changes, which a build would lose."""
    if current is not None and current.manifest.is_compacted:
        raise OutputExists(
            f"{out} holds live changes since `tusou compact`, which a build would lose; build into "
            "another folder, or give --force to discard them"
        )


def notice_stages(before: Bundle | None, bundle: Bundle, progress: Progress) -> None:
    """Name the stages of the previous version that the new one lacks."""
    if before is None:
        return
    names = bundle.manifest.stages.names
    lost = [name for name in before.manifest.stages.names if name not in names]
    if lost:
        progress.notice(
            f"the previous version had stages that this one lacks: {', '.join(lost)}; "
            "`tusou stages` and `tusou calibrate` make them"
        )


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
