"""Converts a dataset into another format, split by split, in the memory of its ids."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tusou.bundle.item_ids import is_canonical_integer
from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import Progress
from tusou.core.errors import BadImage, OutputExists
from tusou.core.ids import Failure
from tusou.data import Dataset, DatasetQuery, ItemRow, MissingPart, open_dataset
from tusou_lab.convert.writers import ConversionNotes, DatasetWriter, SourceSplit, open_writer

# Written last, so a folder that has it was made here, is complete, and may be replaced.
MARK = "converted.json"
_MAX_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class ConvertedSplit:
    """Counts of a converted split; `failed` images could not be read and were left out."""

    split: str
    items: int
    queries: int
    failed: int


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """The result of a conversion, with everything that was left out."""

    source: str
    format: str
    splits: tuple[ConvertedSplit, ...]
    notes: tuple[str, ...]
    failures: tuple[dict[str, object], ...]  # the first thousand


def convert(
    source: str, out: Path, to: str, progress: Progress, *, force: bool = False
) -> ConversionReport:
    """Write the dataset at `source` into the new folder `out` in the format `to`.

    The folder appears once it is complete. Raises OutputExists if it exists, unless this command
    made it and `force` is set; BadDataset for a source that cannot be read.
    """
    if out.exists() and (not force or not (out / MARK).is_file()):
        advice = "choose another folder" if force else "choose another, or give --force"
        raise OutputExists(f"{out} exists{' and was not made by convert' * force}: {advice}")
    dataset = open_dataset(source)
    temporary = out.with_name(f".{out.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        report = _write_dataset(source, dataset, temporary, to, progress)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    text = json.dumps(asdict(report), ensure_ascii=False, indent=2)
    (temporary / MARK).write_text(text + "\n", encoding="utf-8")
    if out.exists():
        shutil.rmtree(out)
    temporary.rename(out)
    return report


def _write_dataset(
    source: str, dataset: Dataset, folder: Path, to: str, progress: Progress
) -> ConversionReport:
    notes, failures = ConversionNotes(), list[Failure]()
    with closing(open_writer(to, folder, notes)) as writer:
        splits = [
            _write_split(dataset, split, writer, failures, progress) for split in dataset.splits()
        ]
    records = tuple(failure.record() for failure in failures[:_MAX_FAILURES])
    return ConversionReport(source, to, tuple(splits), tuple(notes.sentences), records)


def _write_split(
    dataset: Dataset,
    name: str,
    writer: DatasetWriter,
    failures: list[Failure],
    progress: Progress,
) -> ConvertedSplit:
    ids = _read_ids(dataset, name)
    queries = _read_queries(dataset, name)
    writer.begin(SourceSplit(name, ids, all(map(is_canonical_integer, ids)), queries))
    progress.begin(f"writing {name}", len(ids))
    written, failed = 0, 0
    for image in _read_images(dataset, name) if ids else ():
        if isinstance(image, Failure):
            failed += 1
            failures.append(image)
        else:
            writer.add(*image)
            written += 1
            progress.advance()
    writer.end()
    return ConvertedSplit(name, written, len(queries or ()), failed)


def _read_ids(dataset: Dataset, split: str) -> list[str]:
    """Return the different ids of a split; none if it has no images."""
    try:
        pool = dataset.images(split)
    except MissingPart:
        return []
    return list(dict.fromkeys(row.item_id for row in pool.scan() if isinstance(row, ItemRow)))


def _read_queries(dataset: Dataset, split: str) -> list[DatasetQuery] | None:
    try:
        return dataset.queries(split)
    except MissingPart:
        return None


def _read_images(dataset: Dataset, split: str) -> Iterator[tuple[str, bytes] | Failure]:
    """Yield each id with the bytes of its image; a repeated id is a Failure."""
    pool, seen_ids = dataset.images(split), set[str]()
    with ItemReader(pool.files) as files:
        for row in pool.scan():
            if isinstance(row, Failure):
                yield row
                continue
            if row.item_id in seen_ids:
                yield Failure(row.line, row.item_id, "duplicate id")
                continue
            seen_ids.add(row.item_id)
            try:
                stored = files.read(row.file, row.offset, row.length)
                yield row.item_id, decode_stored_image(stored, pool.encoding)
            except BadImage as error:
                yield Failure(row.line, row.item_id, str(error))
