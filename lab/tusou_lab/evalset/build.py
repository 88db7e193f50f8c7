"""Builds the files of a judged set: queries, judgments, images, and a card that says how."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, OutputExists
from tusou.core.files import write_file
from tusou.core.ids import ItemId
from tusou.evaluation import trec
from tusou.evaluation.judged_set import PRELS, QUERIES
from tusou_lab.evalset.answered import answered_probabilities
from tusou_lab.evalset.final_grades import final_grades, pick_judge
from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import open_pool
from tusou_lab.evalset.pool_bias import measure_bias
from tusou_lab.evalset.set_card import (
    CARD,
    IMAGES,
    QRELS,
    CardFacts,
    SetReport,
    compare_if_any,
    count_judged,
    format_card,
)
from tusou_lab.evalset.set_folder import SetFolder

_METHOD = "tusou"


def build_set(
    folder: SetFolder,
    out: Path,
    progress: Progress,
    *,
    judge: str | None = None,
    correct_from: int = 2,
    images: bool = True,
    licence: str | None = None,
    force: bool = False,
) -> SetReport:
    """Write MUGE's files, TREC's judgments and the card of a judged set.

    Items of grade `correct_from` and above are correct. Raises OutputExists for a folder that
    holds a set, unless forced, and BadDataset when nothing is judged.
    """
    if (out / CARD).exists() and not force:
        raise OutputExists(f"{out} holds a set: choose another --out or pass --force")
    design = folder.pool()
    pairs = folder.pairs(PAIRS)
    bundle = open_pool(folder) if images else None
    drawn = {(pair.query_id, pair.item_id) for pair in pairs}
    judgments = folder.judgments(JUDGMENTS)
    judged = final_grades(judgments, judge)
    grades = {pair: grade for pair, grade in judged.items() if pair in drawn}
    if not grades:
        raise BadDataset("no pair that is drawn now has a grade: run `tusou evalset judge`")
    by_query: dict[ItemId, dict[ItemId, int]] = {}
    shares: dict[ItemId, dict[ItemId, float]] = {}
    for (query_id, item_id), share in answered_probabilities(pairs, grades).items():
        # Correct from 1, as everywhere else; the steps above it stay apart.
        grade = max(0, grades[query_id, item_id] - correct_from + 1)
        by_query.setdefault(query_id, {})[item_id] = grade
        shares.setdefault(query_id, {})[item_id] = share
    queries = [each for each in folder.queries() if each.query_id in by_query]
    correct = {
        query_id: [item for item, grade in judged.items() if grade > 0]
        for query_id, judged in by_query.items()
    }
    judged_pairs = sum(map(len, by_query.values()))
    out.mkdir(parents=True, exist_ok=True)
    for name in (CARD, IMAGES):  # of a set that is replaced
        (out / name).unlink(missing_ok=True)
    write_file(out / PRELS, trec.format_prels(by_query, shares, _METHOD).encode())
    write_file(out / QRELS, trec.format_qrels(by_query).encode())
    write_file(out / QUERIES, "".join(_query_rows(queries, correct)).encode())
    count = 0 if bundle is None else _write_images(out / IMAGES, bundle, progress)
    report = SetReport(
        len(queries),
        judged_pairs,
        sum(map(len, correct.values())),
        sum(not items for items in correct.values()),
        len(pairs) - judged_pairs,
        count,
        tuple(measure_bias(pairs, grades, correct_from, design["certain"])),
    )
    counted = [each for each in judgments if (each.query_id, each.item_id) in drawn]
    facts = CardFacts(
        folder.plan(),
        design,
        Counter(grades.values()),
        correct_from,
        Counter(each.author for each in queries),
        count_judged(counted),
        pick_judge(judgments, judge),
        compare_if_any(folder.queries(), pairs, counted, correct_from),
        licence,
    )
    card = format_card(facts, report)
    write_file(out / CARD, card.encode())  # written last: it marks the set as complete
    return report


def _query_rows(
    queries: list[PlannedQuery], correct: Mapping[ItemId, list[ItemId]]
) -> Iterator[str]:
    for query in queries:
        row: dict[str, Any] = {
            "query_id": query.query_id,
            "query_text": query.text,
            "item_ids": correct[query.query_id],
        }
        if query.concept is not None:
            row["category"] = query.concept
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _write_images(path: Path, bundle: Bundle, progress: Progress) -> int:
    """Write every image of the pool as a row of base64, and return their number."""
    temporary = path.with_name(f"{path.name}.part")
    progress.begin("copying images", len(bundle.ids))
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        for key in range(len(bundle.ids)):
            item = bundle.ids.at(key)
            data, _ = bundle.image(str(item))
            file.write(f"{item}\t{b64encode(data).decode()}\n")
            progress.advance()
    temporary.replace(path)
    return len(bundle.ids)
