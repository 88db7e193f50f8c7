"""Looks at a whole dataset once: images, queries, what they say of each other, and the splits."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data import Dataset, DatasetQuery, ItemPool, MissingPart, open_dataset
from tusou_lab.check.cross_checks import Relations, compare_splits, relate
from tusou_lab.check.findings import Finding, Findings
from tusou_lab.check.image_checks import ImageFacts, check_images, tell_doubles
from tusou_lab.check.image_scan import Onlookers, ScannedImage
from tusou_lab.check.near_duplicates import groups, near_by_looks, near_by_vectors, same_bytes
from tusou_lab.check.query_checks import Reader, TextFacts


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Numbers of one split; a part it does not have is None."""

    images: ImageFacts | None
    texts: TextFacts | None
    relations: Relations | None


@dataclass(frozen=True, slots=True)
class Checked:
    """All that was found; `images` are what findings' positions point at."""

    place: str
    splits: dict[str, SplitFacts]
    findings: tuple[Finding, ...]
    seconds: float
    images: tuple[ScannedImage, ...]

    def count(self, severity: str) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check(
    place: str, watcher: Progress, *, bundle: Path | None = None, workers: int | None = None
) -> Checked:
    """Check every split at a place, or the one after its `#`, in one pass over the images.

    Near duplicates are found by the images' looks, or by the vectors of a bundle of theirs.
    Raises BadDataset when nothing there can be read at all.
    """
    started = perf_counter()
    dataset, findings = open_dataset(place), Findings()
    images: list[ScannedImage] = []
    facts: dict[str, ImageFacts] = {}
    with Onlookers(workers or os.cpu_count() or 1) as onlookers:
        for split in dataset.splits():
            pool = _pool(dataset, split, findings)
            if pool is not None:
                watcher.begin(f"looking at {split}", 0)
                first, failures = len(images), list[Failure]()
                for found in onlookers.scan(split, pool):
                    (failures if isinstance(found, Failure) else images).append(found)  # type: ignore[arg-type]
                    watcher.advance()
                facts[split] = check_images(split, images[first:], failures, first, findings)
    queries = _read_queries(dataset, findings)
    same, near = _doubles(images, bundle)
    tell_doubles(images, same, near, findings)
    reader, splits = Reader(), dict[str, SplitFacts]()
    for split in dataset.splits():
        asked = queries.get(split)
        there = {one.row.item_id for one in images if one.split == split}
        splits[split] = SplitFacts(
            facts.get(split),
            None if asked is None else reader.check(split, asked, findings),
            None
            if asked is None
            else relate(split, asked, there if split in facts else None, findings),
        )
    compare_splits(queries, images, same, near, findings)
    seconds = perf_counter() - started
    return Checked(place, splits, tuple(findings.sorted()), seconds, tuple(images))


def _pool(dataset: Dataset, split: str, findings: Findings) -> ItemPool | None:
    try:
        return dataset.images(split)
    except MissingPart:
        findings.add("note", "no_images", split, [split], "the split has no images")
    except BadDataset as error:
        findings.add("error", "unreadable", split, [str(error)], "the images cannot be listed")
    return None


def _read_queries(dataset: Dataset, findings: Findings) -> dict[str, list[DatasetQuery]]:
    found: dict[str, list[DatasetQuery]] = {}
    for split in dataset.splits():
        try:
            rows = list(dataset.scan_queries(split))
        except MissingPart:
            findings.add("note", "no_queries", split, [split], "the split has no queries")
        except BadDataset as error:
            findings.add("error", "unreadable", split, [str(error)], "the queries cannot be read")
        else:
            bad = [f"line {row.line}: {row.reason}" for row in rows if isinstance(row, Failure)]
            findings.add("error", "unusable_lines", split, bad, "unusable lines of the query file")
            found[split] = [row for row in rows if isinstance(row, DatasetQuery)]
    return found


def _doubles(
    images: Sequence[ScannedImage], bundle: Path | None
) -> tuple[list[list[int]], list[list[int]]]:
    looks = [image.looks for image in images]
    same = same_bytes(looks)
    if bundle is None:
        return same, groups(near_by_looks(looks))
    opened = Bundle.open(bundle)
    keys = [opened.ids.key(image.row.item_id) for image in images]
    known = [place for place, key in enumerate(keys) if key is not None]
    if not known:
        raise BadDataset(f"{bundle} holds none of these images: give a bundle made of them")
    rows = np.array([keys[place] for place in known], np.int64)
    pairs = np.array(known, np.int64)[near_by_vectors(np.ascontiguousarray(opened.vectors[rows]))]
    differ = [looks[left].digest != looks[right].digest for left, right in pairs.tolist()]
    return same, groups(pairs[np.array(differ, bool)] if len(pairs) else pairs)
