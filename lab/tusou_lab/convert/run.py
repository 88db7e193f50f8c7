"""Reads a dataset and writes it in another format, split by split, in the memory of its ids."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tusou.bundle.item_ids import is_canonical_integer
from tusou.bundle.item_reader import ItemReader, image_of
from tusou.cli.progress import Progress
from tusou.core.errors import BadImage, OutputExists
from tusou.core.ids import Failure
from tusou.data import Dataset, DatasetQuery, ItemRow, MissingPart, open_dataset
from tusou_lab.convert.writers import Notes, Split, Writer, open_writer

# Written last: a folder that has it was made here, is whole, and may be replaced.
MARK = "converted.json"
_LISTED = 1000


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What was written of a split; `failed` images could not be read and are not there."""

    split: str
    items: int
    queries: int
    failed: int


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What a conversion wrote, and what it had to leave out."""

    source: str
    format: str
    splits: tuple[SplitReport, ...]
    notes: tuple[str, ...]
    failures: tuple[dict[str, object], ...]  # at most a thousand


def convert(
    place: str, out: Path, to: str, watcher: Progress, *, force: bool = False
) -> ConvertReport:
    """Write the dataset at a place into the folder `out` in the format `to`.

    The folder appears when it is whole. Raises OutputExists for one that is there, unless it was
    made by this command and `force` is set; BadDataset for a source that cannot be read.
    """
    if out.exists() and (not force or not (out / MARK).is_file()):
        advice = "choose another folder" if force else "choose another, or give --force"
        raise OutputExists(f"{out} exists{' and was not made here' * force}: {advice}")
    dataset = open_dataset(place)
    side = out.with_name(f".{out.name}.new")
    shutil.rmtree(side, ignore_errors=True)
    side.mkdir(parents=True)
    try:
        report = _write(place, dataset, side, to, watcher)
    except BaseException:
        shutil.rmtree(side)
        raise
    text = json.dumps(asdict(report), ensure_ascii=False, indent=2)
    (side / MARK).write_text(text + "\n", encoding="utf-8")
    if out.exists():
        shutil.rmtree(out)
    side.rename(out)
    return report


def _write(place: str, dataset: Dataset, side: Path, to: str, watcher: Progress) -> ConvertReport:
    notes, failures = Notes(), list[Failure]()
    with closing(open_writer(to, side, notes)) as writer:
        reports = [_copy(dataset, split, writer, failures, watcher) for split in dataset.splits()]
    listed = tuple(failure.record() for failure in failures[:_LISTED])
    return ConvertReport(place, to, tuple(reports), tuple(notes.said), listed)


def _copy(
    dataset: Dataset, name: str, writer: Writer, failures: list[Failure], watcher: Progress
) -> SplitReport:
    ids = _ids(dataset, name)
    queries = _queries(dataset, name)
    writer.begin(Split(name, ids, all(map(is_canonical_integer, ids)), queries))
    watcher.begin(f"writing {name}", len(ids))
    written, failed = 0, 0
    for found in _images(dataset, name, there=bool(ids)):
        if isinstance(found, Failure):
            failed += 1
            failures.append(found)
        else:
            writer.add(*found)
            written += 1
            watcher.advance()
    writer.end()
    return SplitReport(name, written, len(queries or ()), failed)


def _ids(dataset: Dataset, split: str) -> list[str]:
    """List a split's ids, each once; none where it has no images."""
    try:
        pool = dataset.images(split)
    except MissingPart:
        return []
    return list(dict.fromkeys(row.item_id for row in pool.scan() if isinstance(row, ItemRow)))


def _queries(dataset: Dataset, split: str) -> list[DatasetQuery] | None:
    try:
        return dataset.queries(split)
    except MissingPart:
        return None


def _images(dataset: Dataset, split: str, *, there: bool) -> Iterator[tuple[str, bytes] | Failure]:
    """Yield each id and its image's bytes; of several under one id the first."""
    if not there:
        return
    pool, seen = dataset.images(split), set[str]()
    rows = pool.scan()
    with ItemReader(pool.files) as files:
        for row in rows:
            if isinstance(row, Failure):
                yield row
                continue
            if row.item_id in seen:
                yield Failure(row.line, row.item_id, "duplicate id")
                continue
            seen.add(row.item_id)
            try:
                stored = files.read(row.file, row.offset, row.length)
                yield row.item_id, image_of(stored, pool.encoding)
            except BadImage as error:
                yield Failure(row.line, row.item_id, str(error))
