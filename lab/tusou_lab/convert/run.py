"""Converts a dataset into another format, split by split, in the memory of its ids."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, BadImage
from tusou.core.ids import Failure, is_canonical_integer
from tusou.data import Dataset, DatasetQuery, ItemPool, ItemRow, MissingPart, open_dataset
from tusou.data.base import scan_unique
from tusou.data.formats.split_files import CN_CLIP, MUGE
from tusou.data.labelled_pairs import LabelledPair
from tusou_lab.convert.flickr8k import write_flickr8k
from tusou_lab.convert.folder import write_folder
from tusou_lab.convert.output_folder import output_folder
from tusou_lab.convert.split import SourceSplit
from tusou_lab.convert.split_files import write_split_files
from tusou_lab.convert.teddycup import write_teddycup
from tusou_lab.convert.webdataset import write_webdataset

# Written last, so a folder that has it was made here, is complete, and may be replaced.
MARK = "converted.json"
MAX_FAILURES = 1000

# Writes all splits into an empty folder, and counts by a sentence what the format cannot hold.
DatasetWriter: TypeAlias = Callable[[Path, Iterable[SourceSplit], Counter[str]], None]

WRITERS: Mapping[str, DatasetWriter] = {
    "muge": partial(write_split_files, naming=MUGE),
    "cnclip": partial(write_split_files, naming=CN_CLIP),
    "flickr8k": write_flickr8k,
    "teddy": write_teddycup,
    "folder": write_folder,
    "webdataset": write_webdataset,
}


@dataclass(slots=True)
class ConvertedSplit:
    """Counts of a converted split; `failed` images could not be read and were left out."""

    split: str
    items: int
    queries: int
    failed: int
    skipped: list[str]  # files that are not items: a sentence for each reason


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
    notes, counts, failures = Counter[str](), list[ConvertedSplit](), list[Failure]()
    with output_folder(out, MARK, "convert", force=force) as folder:
        dataset = open_dataset(source)
        WRITERS[to](folder, _read_splits(dataset, counts, failures, progress), notes)
        notes["pairs that do not match (label 0) left out"] += _count_unmatched(dataset)
        _refuse_unusable(source, counts, failures)
        sentences = describe_notes(notes, counts)
        records = tuple(failure.record() for failure in failures[:MAX_FAILURES])
        report = ConversionReport(source, to, tuple(counts), sentences, records)
        text = json.dumps(asdict(report), ensure_ascii=False, indent=2)
        (folder / MARK).write_text(text + "\n", encoding="utf-8")
    return report


def describe_notes(notes: Counter[str], counts: Iterable[ConvertedSplit]) -> tuple[str, ...]:
    """Return a sentence for everything that was left out."""
    return (
        *(f"{number} {note}" for note, number in notes.items() if number),
        *(f"{count.split}: skipped {note}" for count in counts for note in count.skipped),
    )


def _count_unmatched(dataset: Dataset) -> int:
    """Return how many labelled pairs are not those of a query and a correct image."""
    pairs = chain.from_iterable(dataset.reader.scan_pairs(name) or () for name in dataset.splits())
    return sum(isinstance(pair, LabelledPair) and not pair.matches for pair in pairs)


def _refuse_unusable(
    source: str, counts: Iterable[ConvertedSplit], failures: Sequence[Failure]
) -> None:
    """Raise BadDataset if there are images and none can be used."""
    failed = sum(count.failed for count in counts)
    if failed and not any(count.items for count in counts):
        first = failures[0]
        raise BadDataset(
            f"{source}: none of {failed} images can be used (line {first.line}: {first.reason})"
        )


def _read_splits(
    dataset: Dataset, counts: list[ConvertedSplit], failures: list[Failure], progress: Progress
) -> Iterator[SourceSplit]:
    for name in dataset.splits():
        ids: list[str] = []
        queries: list[DatasetQuery] | None = None
        with suppress(MissingPart):
            rows = dataset.images(name).scan()
            ids = list(dict.fromkeys(row.item_id for row in rows if isinstance(row, ItemRow)))
        with suppress(MissingPart):
            queries = dataset.queries(name)
        progress.begin(f"writing {name}", len(ids))
        count = ConvertedSplit(name, 0, len(queries or ()), 0, [])
        counts.append(count)
        images: Iterator[tuple[str, bytes]] = iter(())
        with suppress(MissingPart):
            images = _read_images(dataset.images(name), count, failures, progress)
        if not ids:
            list(images)  # a writer does not ask for these; unusable rows are counted all the same
        yield SourceSplit(name, ids, all(map(is_canonical_integer, ids)), queries, images)


def _read_images(
    pool: ItemPool, count: ConvertedSplit, failures: list[Failure], progress: Progress
) -> Iterator[tuple[str, bytes]]:
    """Yield the id and file of each image that can be read, and count them and the others."""
    with ItemReader(pool.files) as reader:
        for row in scan_unique(pool):
            if isinstance(row, Failure):
                failures.append(row)
                count.failed += 1
                continue
            try:
                stored = reader.read(row.file, row.offset, row.length)
                data = decode_stored_image(stored, pool.encoding)
            except BadImage as error:
                failures.append(Failure(row.line, row.item_id, str(error)))
                count.failed += 1
                continue
            count.items += 1
            progress.advance()
            yield row.item_id, data
    count.skipped += pool.skipped.sentences()
