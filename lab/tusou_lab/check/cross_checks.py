"""Checks across parts of a dataset: queries against images, and splits against each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tusou.data import DatasetQuery
from tusou_lab.check.findings import FindingCode, Findings
from tusou_lab.check.image_scan import ScannedImage
from tusou_lab.check.near_duplicates import select_across_splits
from tusou_lab.check.query_checks import normalize_for_comparison

# What a training split shares with a test split, the model has seen before the test.
BETWEEN_SPLITS = "between splits"


@dataclass(frozen=True, slots=True)
class RelevanceFacts:
    """Counts of a split's correct images."""

    positives: dict[int, int]  # number of correct images -> queries
    asked_for: int | None  # images that are correct for some query; None without judgments


def check_relevance(
    split: str, queries: Sequence[DatasetQuery], image_ids: set[str] | None, findings: Findings
) -> RelevanceFacts:
    """Compare a split's queries with its usable images; `image_ids` is None without images."""
    judged = [query for query in queries if query.item_ids is not None]
    positives = Counter(len(set(query.item_ids or ())) for query in judged)
    empty = [f"query {query.query_id}: {query.text}" for query in judged if not query.item_ids]
    findings.add(
        "warning", "queries_without_answer", split, empty, "queries without a correct image"
    )
    repeated = [
        f"query {query.query_id}"
        for query in judged
        if len(set(query.item_ids or ())) < len(query.item_ids or ())
    ]
    findings.add("warning", "repeated_answers", split, repeated, "queries that name an image twice")
    if image_ids is None or not judged:
        return RelevanceFacts(dict(sorted(positives.items())), None)
    correct = {str(item_id) for query in judged for item_id in query.item_ids or ()}
    dangling = [
        f"query {query.query_id}: {item_id}"
        for query in judged
        for item_id in query.item_ids or ()
        if str(item_id) not in image_ids
    ]
    findings.add("error", "dangling_ids", split, dangling, "correct ids that no usable image has")
    unused = sorted(image_ids - correct)
    findings.add("note", "never_asked_for", split, unused, "images that are correct for no query")
    return RelevanceFacts(dict(sorted(positives.items())), len(image_ids & correct))


def compare_splits(
    queries: Mapping[str, Sequence[DatasetQuery]],
    images: Sequence[ScannedImage],
    same: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    findings: Findings,
) -> None:
    """Add findings about texts, equal images, similar images and ids that splits share."""
    _check_shared_texts(queries, findings)
    splits = [image.split for image in images]
    checks: tuple[tuple[FindingCode, Sequence[Sequence[int]], str], ...] = (
        ("shared_images", same, "images that several splits have, byte for byte"),
        ("shared_looks", near, "groups of images that look alike, over several splits"),
    )
    for code, groups, message in checks:
        shared = list(select_across_splits(groups, splits))
        examples = [_describe_group(group, images) for group in shared]
        positions = [position for group in shared for position in _one_per_split(group, splits)]
        findings.add("warning", code, BETWEEN_SPLITS, examples, message, images=positions)
    splits_of_id: dict[str, set[str]] = {}
    for image in images:
        splits_of_id.setdefault(image.row.item_id, set()).add(image.split)
    shared_ids = [
        f"{item_id} in {', '.join(sorted(names))}"
        for item_id, names in splits_of_id.items()
        if len(names) > 1
    ]
    findings.add("note", "shared_ids", BETWEEN_SPLITS, shared_ids, "ids that several splits use")


def _one_per_split(group: Sequence[int], splits: Sequence[str]) -> list[int]:
    """Return the first position of each split."""
    return list({splits[position]: position for position in reversed(group)}.values())[::-1]


def _check_shared_texts(queries: Mapping[str, Sequence[DatasetQuery]], findings: Findings) -> None:
    splits_of_text: dict[str, dict[str, None]] = {}
    for split, split_queries in queries.items():
        for query in split_queries:
            text = normalize_for_comparison(query.text)
            splits_of_text.setdefault(text, {})[split] = None
    shared = [
        f"{text} in {', '.join(names)}"
        for text, names in splits_of_text.items()
        if text and len(names) > 1
    ]
    message = "texts of queries in several splits"
    findings.add("warning", "shared_queries", BETWEEN_SPLITS, shared, message)


def _describe_group(group: Sequence[int], images: Sequence[ScannedImage]) -> str:
    names = [f"{images[position].split} {images[position].row.item_id}" for position in group[:4]]
    return " = ".join(names) + (" ..." if len(group) > 4 else "")
