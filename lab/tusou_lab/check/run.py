"""Runs every check over a dataset, in one pass over its images."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data import Dataset, DatasetQuery, ItemPool, MissingPart, open_dataset
from tusou.images.workers import ImageWorkers
from tusou_lab.check.cross_checks import RelevanceFacts, check_relevance, compare_splits
from tusou_lab.check.findings import Finding, Findings
from tusou_lab.check.image_checks import ImageFacts, check_duplicates, check_images
from tusou_lab.check.image_scan import ScannedImage, fingerprint_item, scan_images
from tusou_lab.check.near_duplicates import Groups, group_near_duplicates, group_same_bytes
from tusou_lab.check.pair_checks import check_pairs
from tusou_lab.check.query_checks import QueryFacts, check_queries

if TYPE_CHECKING:
    from tusou.encoders.tokenizer import ClipTokenizer
    from tusou_lab.check.hubness import BundleHubness


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Counts of one split; None for a part that it does not have."""

    images: ImageFacts | None
    texts: QueryFacts | None
    relations: RelevanceFacts | None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The findings about a dataset; their `images` are positions in `images`."""

    source: str
    splits: dict[str, SplitFacts]
    findings: tuple[Finding, ...]
    seconds: float
    images: tuple[ScannedImage, ...]
    hubness: "BundleHubness | None" = None  # of a bundle, in place of splits

    def count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)


def check(
    source: str, progress: Progress, *, bundle: Path | None = None, workers: int | None = None
) -> CheckReport:
    """Check every split of a dataset, or the one after the `#` of `source`.

    Near duplicates are found by their colours; with a bundle of the same images, its vectors
    choose which pairs are compared. Raises BadDataset when nothing can be read at all.
    """
    started = perf_counter()
    dataset, findings = open_dataset(source), Findings()
    images: list[ScannedImage] = []
    image_facts: dict[str, ImageFacts] = {}
    worker_count = workers or os.cpu_count() or 1
    with ImageWorkers(fingerprint_item, worker_count) as image_workers:
        for split in dataset.splits():
            pool = _open_pool(dataset, split, findings)
            if pool is None:
                continue
            progress.begin(f"checking images of {split}", 0)
            first, failures = len(images), list[Failure]()
            for image in scan_images(split, pool, image_workers, failures):
                images.append(image)
                progress.advance()
            skipped = pool.skipped
            message = "files that are not items of the split"
            findings.add(
                "note", "skipped_files", split, skipped.sentences(), message, count=len(skipped)
            )
            image_facts[split] = check_images(split, images[first:], failures, first, findings)
    queries = _read_queries(dataset, findings)
    same, near = _find_duplicates(images, bundle)
    check_duplicates(images, same, near, findings)
    tokenizer, splits = _open_tokenizer(), dict[str, SplitFacts]()
    for split in dataset.splits():
        if split not in queries:
            splits[split] = SplitFacts(image_facts.get(split), None, None)
            continue
        usable = {image.row.item_id for image in images if image.split == split}
        splits[split] = SplitFacts(
            image_facts.get(split),
            check_queries(split, queries[split], tokenizer, findings),
            check_relevance(
                split, queries[split], usable if split in image_facts else None, findings
            ),
        )
    compare_splits(queries, images, same, near, findings)
    seconds = perf_counter() - started
    return CheckReport(source, splits, tuple(findings.sorted()), seconds, tuple(images))


def _open_tokenizer() -> "ClipTokenizer | None":
    """Return the tokenizer, or None without cn_clip, whose vocabulary it needs."""
    if find_spec("cn_clip") is None:
        return None
    from tusou.encoders.tokenizer import ClipTokenizer  # noqa: PLC0415 - it imports cn_clip

    return ClipTokenizer()


def _open_pool(dataset: Dataset, split: str, findings: Findings) -> ItemPool | None:
    try:
        return dataset.images(split)
    except MissingPart as error:
        findings.add("note", "no_images", split, [str(error)], "the split has no images")
    except BadDataset as error:
        findings.add("error", "unreadable", split, [str(error)], "the images cannot be listed")
    return None


def _read_queries(dataset: Dataset, findings: Findings) -> dict[str, list[DatasetQuery]]:
    queries: dict[str, list[DatasetQuery]] = {}
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
            queries[split] = [row for row in rows if isinstance(row, DatasetQuery)]
            check_pairs(split, dataset.reader.scan_pairs(split) or (), findings)
    return queries


def _find_duplicates(images: Sequence[ScannedImage], bundle: Path | None) -> tuple[Groups, Groups]:
    """Return the groups of images with the same bytes, and of those that look the same."""
    fingerprints = [image.fingerprint for image in images]
    same = group_same_bytes(fingerprints)
    if bundle is None:
        return same, group_near_duplicates(fingerprints)
    opened = Bundle.open(bundle)
    keys = [opened.ids.key(image.row.item_id) for image in images]
    indexed = [position for position, key in enumerate(keys) if key is not None]
    if not indexed:
        raise BadDataset(f"{bundle} holds none of these images: give a bundle made of them")
    rows = np.array([keys[position] for position in indexed], np.int64)
    vectors = np.ascontiguousarray(opened.vectors[rows])
    near = group_near_duplicates([fingerprints[position] for position in indexed], vectors)
    return same, [[indexed[number] for number in group] for group in near]
