"""Divides a dataset by its images into train, valid and test, and writes it."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, is_canonical_integer
from tusou.data import DatasetQuery, ItemPool, MissingPart, open_dataset
from tusou.images.workers import ImageWorkers
from tusou_lab.check.image_scan import ScannedImage, fingerprint_item, scan_images
from tusou_lab.check.near_duplicates import group_near_duplicates, group_same_bytes
from tusou_lab.convert.output_folder import output_folder
from tusou_lab.convert.run import MAX_FAILURES, WRITERS
from tusou_lab.convert.split import SourceSplit
from tusou_lab.split.assignment import assign_splits

# Written last, so a folder that has it was made here, is complete, and may be replaced.
MARK = "split.json"
# The order in which splits are written.
NAMES = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class WrittenSplit:
    """Counts of one split."""

    split: str
    items: int
    queries: int


@dataclass(frozen=True, slots=True)
class SplitReport:
    """The result of a division, with everything that was left out."""

    source: str
    format: str
    seed: int
    splits: tuple[WrittenSplit, ...]
    near_duplicates: int  # images that stay beside one with the same bytes or the same look
    divided_queries: int  # queries whose correct images are in several splits: each has its part
    queries_left_out: int  # queries without a correct image in a split
    images_left_out: int  # images beyond the number that train may have
    notes: tuple[str, ...]
    failed: int  # images that could not be read
    failures: tuple[dict[str, object], ...]  # the first thousand


def split(
    source: str,
    out: Path,
    sizes: Mapping[str, float],
    seed: int,
    progress: Progress,
    *,
    to: str = "muge",
    workers: int | None = None,
    force: bool = False,
) -> SplitReport:
    """Divide the dataset at `source` into train, valid and test of the sizes of `assign_splits`.

    Images with the same bytes or the same look are in one split. A query is in each split that has
    a correct image of it, with the correct images there. Raises OutputExists if `out` exists,
    unless this command made it and `force` is set; BadDataset if the source has several splits, no
    images, queries without any correct image, or too few images.
    """
    with output_folder(out, MARK, "split", force=force) as folder:
        dataset, failures, notes = open_dataset(source), list[Failure](), Counter[str]()
        name = dataset.split()
        queries: list[DatasetQuery] | None = None
        with suppress(MissingPart):
            queries = dataset.queries(name)
        pool = dataset.images(name)
        images = _scan(name, pool, failures, progress, workers)
        prints = [image.fingerprint for image in images]
        groups = [*group_same_bytes(prints), *group_near_duplicates(prints)]
        ids = [image.row.item_id for image in images]
        assigned = zip(ids, assign_splits(ids, groups, sizes, seed), strict=True)
        split_of = {item_id: name for item_id, name in assigned if name is not None}
        parts = {
            name: _make_part(name, images, queries, split_of, progress)
            for name in NAMES
            if name in split_of.values()
        }
        WRITERS[to](folder, parts.values(), notes)
        spread = [len(_find_splits(query, split_of)) for query in queries or ()]
        if queries and not any(spread):
            raise BadDataset(f"{source}: no query has a correct image among the {len(ids)} images")
        report = SplitReport(
            source=source,
            format=to,
            seed=seed,
            splits=tuple(
                WrittenSplit(name, len(part.item_ids), len(part.queries or ()))
                for name, part in parts.items()
            ),
            near_duplicates=len({position for group in groups for position in group}),
            divided_queries=sum(count > 1 for count in spread),
            queries_left_out=spread.count(0),
            images_left_out=len(ids) - len(split_of),
            notes=(
                *(f"{number} {note}" for note, number in notes.items() if number),
                *(f"skipped {note}" for note in pool.skipped.sentences()),
            ),
            failed=len(failures),
            failures=tuple(failure.record() for failure in failures[:MAX_FAILURES]),
        )
        text = json.dumps(asdict(report), ensure_ascii=False, indent=2)
        (folder / MARK).write_text(text + "\n", encoding="utf-8")
    return report


def _scan(
    split: str, pool: ItemPool, failures: list[Failure], progress: Progress, workers: int | None
) -> list[ScannedImage]:
    """Return the readable images of a split; BadDataset if there are none."""
    progress.begin("comparing images", 0)
    images: list[ScannedImage] = []
    with ImageWorkers(fingerprint_item, workers or os.cpu_count() or 1) as image_workers:
        for image in scan_images(split, pool, image_workers, failures):
            images.append(image)
            progress.advance()
    if not images:
        raise BadDataset("no image of the source can be read")
    return images


def _find_splits(query: DatasetQuery, split_of: Mapping[str, str]) -> set[str]:
    """Return the splits that have a correct image of a query."""
    ids = map(str, query.item_ids or ())
    return {split_of[item_id] for item_id in ids if item_id in split_of}


def _make_part(
    name: str,
    images: Sequence[ScannedImage],
    queries: Sequence[DatasetQuery] | None,
    split_of: Mapping[str, str],
    progress: Progress,
) -> SourceSplit:
    """Return one split to write; its images are read as they are written."""
    members = [image for image in images if split_of.get(image.row.item_id) == name]
    own = None
    if queries is not None:
        own = [
            replace(query, item_ids=correct)
            for query in queries
            if (correct := tuple(n for n in query.item_ids or () if split_of.get(str(n)) == name))
        ]
    ids = [image.row.item_id for image in members]
    return SourceSplit(
        name, ids, all(map(is_canonical_integer, ids)), own, _read(members, name, progress)
    )


def _read(
    images: Sequence[ScannedImage], split: str, progress: Progress
) -> Iterator[tuple[str, bytes]]:
    """Yield the id and file of each image."""
    progress.begin(f"writing {split}", len(images))
    for image in images:
        stored = read_span(image.path, image.row.offset, image.row.length)
        yield image.row.item_id, decode_stored_image(stored, image.encoding)
        progress.advance()
