"""Fill a query file with a running service's answers; a killed run goes on where it stopped."""

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tusou.core.errors import OutputExists
from tusou_client.errors import ClientError, UnfinishedRun, UsageError
from tusou_client.journal import Journal
from tusou_client.output_formats import check_depth, format_output
from tusou_client.query_file import QueryRow, read_queries, read_source
from tusou_client.replay_worker import Filling, ReplayListener, ReplaySettings

__all__ = ["ReplayListener", "ReplayReport", "ReplaySettings", "replay"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a finished replay did."""

    out: Path
    rows: int
    resumed: int  # rows that an earlier, interrupted run had answered
    index_version: str
    seconds: float


def replay(
    queries: Path | str,
    out: Path,
    settings: ReplaySettings,
    *,
    force: bool = False,
    watcher: ReplayListener | None = None,
) -> ReplayReport:
    """Write the rows of a query file, in order, each with exactly `top_k` item ids, to `out`.

    `queries` may be a dataset of another format, `DATA#SPLIT`: it gives rows as MUGE has them.
    Progress is kept in `out` + ".partial": run again after a kill, it goes on, and the file is
    byte for byte the one an uninterrupted run writes. An `out` that ends in .zip or .csv is what
    MUGE or Teddy Cup takes, see `tusou_client.output_formats`. `force` replaces an existing output,
    and drops the progress of a run over other queries. Raises ClientError.
    """
    started = time.monotonic()
    watcher = watcher or ReplayListener()
    _check_output(Path(queries), out, force=force)
    check_depth(out, settings.top_k)
    data = read_source(str(queries))
    rows = read_queries(data)
    made_from: dict[str, object] = {
        "tusou_replay": _FORMAT,
        "queries_sha256": hashlib.sha256(data).hexdigest(),
        "top_k": settings.top_k,
    }
    with Journal(out.with_name(f"{out.name}.partial")) as journal:
        _check_same_run(journal, made_from, force=force)
        version, done = _resume(journal, made_from, rows, settings)
        if done < len(rows):
            filling = Filling(rows, journal, made_from, settings, watcher)
            try:
                version = asyncio.run(filling.run(version, done))
            except (ClientError, KeyboardInterrupt):
                _tell_what_is_kept(journal, watcher)
                raise
        journal.publish(out, partial(format_output, out.suffix, rows))
    return ReplayReport(out, len(rows), done, str(version), time.monotonic() - started)


def _check_output(queries: Path, out: Path, *, force: bool) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"The folder {out.parent} does not exist; create it first.")
    if out.exists() and queries.exists() and out.samefile(queries):
        raise UsageError("The output would replace the query file; give --out another name.")
    if out.exists() and not force:
        raise OutputExists(f"{out} exists; give --force to replace it, or another --out.")


def _check_same_run(journal: Journal, made_from: dict[str, object], *, force: bool) -> None:
    header, lines = journal.read()
    other = header is not None and {**header, **made_from} != header
    if other and lines and not force:
        raise UnfinishedRun(
            f"{journal.path} is the progress of a run over other queries or with another "
            "--top-k. Finish that run, or give --force to drop its progress."
        )
    if other:
        journal.clear()


def _resume(
    journal: Journal,
    made_from: dict[str, object],
    rows: list[QueryRow],
    settings: ReplaySettings,
) -> tuple[str | None, int]:
    """Return the index version of the rows already answered, and how many there are."""
    header, lines = journal.read()
    if header is None:
        return None, 0
    done = _count_good(rows, lines, settings.top_k)
    if done < len(rows):
        # Whole batches only, so that the service sees the same batches as without the break.
        done -= done % settings.batch_size
    version = str(header.get("index_version"))
    journal.start(made_from | {"index_version": version}, lines[:done])
    return version, done


def _count_good(rows: list[QueryRow], lines: list[bytes], top_k: int) -> int:
    """Count the leading lines that are exactly what this run would write for some answer."""
    for count, (row, line) in enumerate(zip(rows, lines, strict=False)):
        try:
            item_ids = json.loads(line)[row.answers]
            if len(item_ids) != top_k or row.filled(item_ids) != line:
                return count
        except (ValueError, TypeError, KeyError):
            return count
    return min(len(rows), len(lines))


def _tell_what_is_kept(journal: Journal, watcher: ReplayListener) -> None:
    if not journal.path.exists():
        return
    if kept := len(journal.read()[1]):
        watcher.on_notice(
            f"{kept} finished rows are kept in {journal.path}: the same command goes on from there."
        )
