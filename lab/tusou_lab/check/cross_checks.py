"""What is wrong between queries and pictures, and between splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tusou.data import Query
from tusou_lab.check.findings import Code, Findings
from tusou_lab.check.image_scan import Picture
from tusou_lab.check.near_duplicates import across
from tusou_lab.check.query_checks import plain

# A split to train on and its tests: what both have, a model has seen.
BETWEEN = "between splits"


@dataclass(frozen=True, slots=True)
class Relations:
    """Numbers that need both sides of a split."""

    positives: dict[int, int]  # correct pictures -> queries that have so many
    asked_for: int | None  # pictures that some query names; None where none is answered


def relate(
    split: str, queries: Sequence[Query], there: set[str] | None, findings: Findings
) -> Relations:
    """Compare a split's answers with its usable pictures; `there` is None without pictures."""
    answered = [query for query in queries if query.item_ids is not None]
    positives = Counter(len(set(query.item_ids or ())) for query in answered)
    without = [f"query {query.query_id}: {query.text}" for query in answered if not query.item_ids]
    findings.add(
        "warning", "queries_without_answer", split, without, "queries without a correct picture"
    )
    twice = [
        f"query {query.query_id}"
        for query in answered
        if len(set(query.item_ids or ())) < len(query.item_ids or ())
    ]
    findings.add("warning", "repeated_answers", split, twice, "queries that name a picture twice")
    if there is None or not answered:
        return Relations(dict(sorted(positives.items())), None)
    named = {str(item_id) for query in answered for item_id in query.item_ids or ()}
    dangling = [
        f"query {query.query_id}: {item_id}"
        for query in answered
        for item_id in query.item_ids or ()
        if str(item_id) not in there
    ]
    findings.add("error", "dangling_ids", split, dangling, "correct ids that no usable picture has")
    never = sorted(there - named)
    findings.add("note", "never_asked_for", split, never, "pictures that are correct for no query")
    return Relations(dict(sorted(positives.items())), len(there & named))


def compare_splits(
    queries: Mapping[str, Sequence[Query]],
    pictures: Sequence[Picture],
    same: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    findings: Findings,
) -> None:
    """Tell what several splits share: texts, picture bytes, looks, and ids."""
    _shared_texts(queries, findings)
    splits = [picture.split for picture in pictures]
    kinds: tuple[tuple[Code, Sequence[Sequence[int]], str], ...] = (
        ("shared_pictures", same, "pictures that lie in several splits, byte for byte"),
        ("shared_looks", near, "groups of pictures that look alike, over several splits"),
    )
    for code, groups, said in kinds:
        found = list(across(groups, splits))
        shown = [_names(group, pictures) for group in found]
        positions = [place for group in found for place in _one_each(group, splits)]
        findings.add("warning", code, BETWEEN, shown, said, pictures=positions)
    where: dict[str, set[str]] = {}
    for picture in pictures:
        where.setdefault(picture.row.item_id, set()).add(picture.split)
    ids = [f"{one} in {', '.join(sorted(found))}" for one, found in where.items() if len(found) > 1]
    findings.add("note", "shared_ids", BETWEEN, ids, "ids that several splits use")


def _one_each(group: Sequence[int], splits: Sequence[str]) -> list[int]:
    """Pick a picture of each split."""
    return list({splits[place]: place for place in reversed(group)}.values())[::-1]


def _shared_texts(queries: Mapping[str, Sequence[Query]], findings: Findings) -> None:
    where: dict[str, dict[str, None]] = {}
    for split, asked in queries.items():
        for query in asked:
            where.setdefault(plain(query.text), {})[split] = None
    shared = [
        f"{text} in {', '.join(found)}" for text, found in where.items() if text and len(found) > 1
    ]
    findings.add("warning", "shared_queries", BETWEEN, shared, "texts asked in several splits")


def _names(group: Sequence[int], pictures: Sequence[Picture]) -> str:
    shown = [f"{pictures[place].split} {pictures[place].row.item_id}" for place in group[:4]]
    return " = ".join(shown) + (" ..." if len(group) > 4 else "")
