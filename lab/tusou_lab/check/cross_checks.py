"""What is wrong between queries and images, and between splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tusou.data import DatasetQuery
from tusou_lab.check.findings import Code, Findings
from tusou_lab.check.image_scan import ScannedImage
from tusou_lab.check.near_duplicates import across
from tusou_lab.check.query_checks import plain

# A split to train on and its tests: what both have, a model has seen.
BETWEEN = "between splits"


@dataclass(frozen=True, slots=True)
class Relations:
    """Numbers that need both sides of a split."""

    positives: dict[int, int]  # correct images -> queries that have so many
    asked_for: int | None  # images that some query names; None where none is answered


def relate(
    split: str, queries: Sequence[DatasetQuery], there: set[str] | None, findings: Findings
) -> Relations:
    """Compare a split's answers with its usable images; `there` is None without images."""
    answered = [query for query in queries if query.item_ids is not None]
    positives = Counter(len(set(query.item_ids or ())) for query in answered)
    without = [f"query {query.query_id}: {query.text}" for query in answered if not query.item_ids]
    findings.add(
        "warning", "queries_without_answer", split, without, "queries without a correct image"
    )
    twice = [
        f"query {query.query_id}"
        for query in answered
        if len(set(query.item_ids or ())) < len(query.item_ids or ())
    ]
    findings.add("warning", "repeated_answers", split, twice, "queries that name an image twice")
    if there is None or not answered:
        return Relations(dict(sorted(positives.items())), None)
    named = {str(item_id) for query in answered for item_id in query.item_ids or ()}
    dangling = [
        f"query {query.query_id}: {item_id}"
        for query in answered
        for item_id in query.item_ids or ()
        if str(item_id) not in there
    ]
    findings.add("error", "dangling_ids", split, dangling, "correct ids that no usable image has")
    never = sorted(there - named)
    findings.add("note", "never_asked_for", split, never, "images that are correct for no query")
    return Relations(dict(sorted(positives.items())), len(there & named))


def compare_splits(
    queries: Mapping[str, Sequence[DatasetQuery]],
    images: Sequence[ScannedImage],
    same: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    findings: Findings,
) -> None:
    """Tell what several splits share: texts, image bytes, looks, and ids."""
    _shared_texts(queries, findings)
    splits = [image.split for image in images]
    kinds: tuple[tuple[Code, Sequence[Sequence[int]], str], ...] = (
        ("shared_images", same, "images that lie in several splits, byte for byte"),
        ("shared_looks", near, "groups of images that look alike, over several splits"),
    )
    for code, groups, said in kinds:
        found = list(across(groups, splits))
        shown = [_names(group, images) for group in found]
        positions = [place for group in found for place in _one_each(group, splits)]
        findings.add("warning", code, BETWEEN, shown, said, images=positions)
    where: dict[str, set[str]] = {}
    for image in images:
        where.setdefault(image.row.item_id, set()).add(image.split)
    ids = [f"{one} in {', '.join(sorted(found))}" for one, found in where.items() if len(found) > 1]
    findings.add("note", "shared_ids", BETWEEN, ids, "ids that several splits use")


def _one_each(group: Sequence[int], splits: Sequence[str]) -> list[int]:
    """Pick an image of each split."""
    return list({splits[place]: place for place in reversed(group)}.values())[::-1]


def _shared_texts(queries: Mapping[str, Sequence[DatasetQuery]], findings: Findings) -> None:
    where: dict[str, dict[str, None]] = {}
    for split, asked in queries.items():
        for query in asked:
            where.setdefault(plain(query.text), {})[split] = None
    shared = [
        f"{text} in {', '.join(found)}" for text, found in where.items() if text and len(found) > 1
    ]
    findings.add("warning", "shared_queries", BETWEEN, shared, "texts asked in several splits")


def _names(group: Sequence[int], images: Sequence[ScannedImage]) -> str:
    shown = [f"{images[place].split} {images[place].row.item_id}" for place in group[:4]]
    return " = ".join(shown) + (" ..." if len(group) > 4 else "")
