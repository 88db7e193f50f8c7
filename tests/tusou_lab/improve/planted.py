"""Judged queries of which it is known how much better another ranking is."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tusou_lab.evaluate.bundle_queries import read_text_queries

from tusou.core.ids import ItemId
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.retrieval.pipeline import SearchPipeline

WORDS = ("红色", "碎花", "吊带裙", "男鞋", "儿童", "水壶", "复古", "T恤", "黑", "宽松")
TEXTS = [f"{a}{b}{n}号" for n, a in enumerate(WORDS) for b in WORDS if a != b]
KS = (1, 5, 10)
ITEMS = 300

Rankings = Sequence[Sequence[ItemId]]
# Writes queries whose correct items feedback moves up (True), down (False) or not (None).
Effects = Sequence[bool | None]
WriteAnswers = Callable[[Path, Effects], Path]


def rank_all(root: Path) -> Rankings:
    """Return what a bundle of 300 items finds for every text, all items."""
    rows = [JudgedQuery(n, n, text, {}) for n, text in enumerate(TEXTS)]
    queries = read_text_queries(Judgments(Path("q"), tuple(rows)), ITEMS, interpret=True)
    return [hits.item_ids for hits in SearchPipeline.open(root).search(queries).hits]


def plant(path: Path, plain: Rankings, after: Rankings, helps: Effects) -> Path:
    """Write a query for each of `helps`, with the item on which a ranking has most effect."""
    lines = []
    for number, better in enumerate(helps):
        effects = {
            item: _recall(after[number], item) - _recall(plain[number], item)
            for item in plain[number]
        }
        if better is None:  # the last item of both, or nearly
            item = next(item for item in reversed(plain[number]) if effects[item] == 0)
        else:
            item = (max if better else min)(effects, key=effects.__getitem__)
            assert effects[item] != 0
            assert (effects[item] > 0) == better
        row = {"query_id": f"q{number}.jpg", "query_text": TEXTS[number], "item_ids": [item]}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    path.write_text("".join(lines))
    return path


def _recall(ranking: Sequence[ItemId], item: ItemId) -> float:
    return sum(ranking.index(item) < k for k in KS) / 3
