"""Checks across parts of a dataset: queries against images, and splits against each other."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tusou.data import DatasetQuery
from tusou_lab.check.findings import FindingCode, Findings
from tusou_lab.check.image_scan import ScannedImage
from tusou_lab.check.query_checks import normalize_for_comparison

# The split of findings about several splits: a model has seen what training and test share.
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
    texts = (
        (normalize_for_comparison(query.text), split)
        for split, split_queries in queries.items()
        for query in split_queries
    )
    shared = [f"{text} in {', '.join(names)}" for text, names in _find_shared(texts) if text]
    message = "texts of queries in several splits"
    findings.add("warning", "shared_queries", BETWEEN_SPLITS, shared, message)
    checks: tuple[tuple[FindingCode, Sequence[Sequence[int]], str], ...] = (
        ("shared_images", same, "images that several splits have, byte for byte"),
        ("shared_looks", near, "groups of images that look alike, over several splits"),
    )
    for code, groups, message in checks:
        examples: list[str] = []
        positions: list[int] = []
        for group in groups:
            # The first position of each split.
            firsts = {images[position].split: position for position in reversed(group)}
            if len(firsts) > 1:
                names = [f"{images[n].split} {images[n].row.item_id}" for n in group[:4]]
                examples.append(" = ".join(names) + " ..." * (len(group) > 4))
                positions += reversed(firsts.values())
        findings.add("warning", code, BETWEEN_SPLITS, examples, message, images=positions)
    ids = _find_shared((image.row.item_id, image.split) for image in images)
    shared = [f"{item_id} in {', '.join(sorted(names))}" for item_id, names in ids]
    findings.add("note", "shared_ids", BETWEEN_SPLITS, shared, "ids that several splits use")


def _find_shared(values: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield each value that stands in several splits, with their names."""
    splits_of: dict[str, dict[str, None]] = {}
    for value, split in values:
        splits_of.setdefault(value, {})[split] = None
    for value, splits in splits_of.items():
        if len(splits) > 1:
            yield value, list(splits)
