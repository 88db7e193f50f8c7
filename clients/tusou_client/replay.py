"""Fills a query file with the results of a running service; resumes after a kill."""

import asyncio
import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tusou.core.errors import OutputExists
from tusou.core.files import write_file
from tusou_client.errors import ClientError, UnfinishedRun, UsageError
from tusou_client.journal import Journal
from tusou_client.output_formats import check_depth, format_output
from tusou_client.query_file import QueryRow, read_queries, read_source
from tusou_client.replay_worker import ReplayListener, ReplaySettings, ReplayWorker, RowOrigin

__all__ = ["ReplayListener", "ReplayReport", "ReplaySettings", "replay"]

_FORMAT = 4  # of the journal's header


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The result of a finished replay."""

    out: Path
    rows: int
    resumed: int  # rows taken over from an earlier, interrupted run
    index_version: str
    interpret: bool  # whether what a query refuses was subtracted
    seconds: float
    not_reranked: int = 0  # rows of this run whose reranking was cut off or failed
    unknown_language: int = 0  # rows of this run in a language that the model does not know


def replay(
    queries: Path | str,
    out: Path,
    settings: ReplaySettings,
    *,
    force: bool = False,
    listener: ReplayListener | None = None,
) -> ReplayReport:
    """Write the rows of a query file to `out`, in order, each with exactly `top_k` item ids.

    `queries` may be a dataset of another format, `DATA#SPLIT`: it gives rows as MUGE has them.
    Finished rows are kept in `out` + ".partial": after a kill, the same call resumes and writes the
    same bytes as an uninterrupted run. An `out` that ends in .zip or .csv is a submission for
    MUGE or Teddy Cup, see `tusou_client.output_formats`. `force` replaces an existing output, and
    drops the progress of a run over other queries. Raises ClientError and OutputExists.
    """
    started = time.monotonic()
    listener = listener or ReplayListener()
    _check_output(Path(queries), out, force=force)
    check_depth(out, settings.top_k)
    data = read_source(str(queries))
    rows = read_queries(data)
    identity: dict[str, object] = {
        "tusou_replay": _FORMAT,
        "queries_sha256": hashlib.sha256(data).hexdigest(),
        "top_k": settings.top_k,
        "interpret": settings.interpret,
        "filter": settings.filter,
        "query_encoder": settings.query_encoder,
    }
    with Journal(out.with_name(f"{out.name}.partial")) as journal:
        origin, done = _resume(journal, identity, rows, settings, force=force)
        not_reranked = unknown_language = 0
        if done < len(rows):
            worker = ReplayWorker(rows, journal, identity, settings, listener)
            try:
                origin = asyncio.run(worker.run(origin, done))
                not_reranked = worker.not_reranked
                unknown_language = worker.unknown_language
            except (ClientError, KeyboardInterrupt):
                if journal.path.exists() and (count := len(journal.read()[1])):
                    listener.notice(
                        f"{count} finished rows are kept in {journal.path}: "
                        "the same command resumes there."
                    )
                raise
        write_file(out, format_output(out.suffix, rows, journal.read()[1]))
        journal.discard()
    seconds = time.monotonic() - started
    return ReplayReport(
        out,
        len(rows),
        done,
        origin.index_version if origin else "",
        settings.interpret,
        seconds,
        not_reranked,
        unknown_language,
    )


def _check_output(queries: Path, out: Path, *, force: bool) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"The folder {out.parent} does not exist; create it first.")
    if out.exists() and queries.exists() and out.samefile(queries):
        raise UsageError("The output would replace the query file; give --out another name.")
    if out.exists() and not force:
        raise OutputExists(f"{out} exists; give --force to replace it, or another --out.")


def _resume(
    journal: Journal,
    identity: dict[str, object],
    rows: list[QueryRow],
    settings: ReplaySettings,
    *,
    force: bool,
) -> tuple[RowOrigin | None, int]:
    """Return the index and the encoder of the finished rows, and their number.

    With `force` the rows of another run are dropped, else they raise UnfinishedRun.
    """
    header, lines = journal.read()
    if header is None:
        return None, 0
    if {**header, **identity} != header:
        if lines and not force:
            raise UnfinishedRun(
                f"{journal.path} is the progress of a run over other queries or with other options "
                "(--top-k, --no-interpret, --filter, --query-encoder). Finish that run, or give "
                "--force to drop its progress."
            )
        journal.clear()
        return None, 0
    done = _count_valid(rows, lines, settings.top_k)
    if done < len(rows):
        # Whole batches only, so that the service sees the same batches as without the break.
        done -= done % settings.request_size
    origin = RowOrigin(str(header.get("index_version")), str(header.get("encoder")))
    journal.start(identity | asdict(origin), lines[:done])
    return origin, done


def _count_valid(rows: list[QueryRow], lines: list[bytes], top_k: int) -> int:
    """Count the leading lines that this run could have written."""
    for count, (row, line) in enumerate(zip(rows, lines, strict=False)):
        try:
            item_ids = json.loads(line)[row.items_field]
            if len(item_ids) != top_k or row.format(item_ids) != line:
                return count
        except (ValueError, TypeError, KeyError):
            return count
    return min(len(rows), len(lines))
