"""Judged queries of which it is known what feedback does to them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tusou_lab.evaluate.bundle_queries import read_text_queries

from tests.tusou_lab.improve.planted import WriteAnswers
from tusou.bundle.revise import revise
from tusou.bundle.stages import FeedbackRecord
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.retrieval.pipeline import SearchPipeline

FEEDBACK = FeedbackRecord(items=10, weight=0.5)
KS = (1, 5, 10)
WORDS = ("红色", "碎花", "吊带裙", "男鞋", "儿童", "水壶", "复古", "T恤", "黑", "宽松")


@pytest.fixture(scope="session")
def write_answers(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> WriteAnswers:
    """Return a function that writes queries with the items on which feedback has the most effect.

    One search without and one with feedback show where each item ends up.
    """
    moved = tmp_path_factory.mktemp("feedback") / "bundle"

    def with_feedback(manifest):
        stages = manifest.stages.model_copy(update={"feedback": FEEDBACK})
        return manifest.model_copy(update={"stages": stages})

    revise(tiny_bundle, with_feedback, out=moved)
    texts = [f"{a}{b}{n}号" for n, a in enumerate(WORDS) for b in WORDS if a != b]
    rows = [JudgedQuery(n, n, text, {}) for n, text in enumerate(texts)]
    queries = read_text_queries(Judgments(Path("q"), tuple(rows)), 300, interpret=True)
    rankings = [
        [hits.item_ids for hits in SearchPipeline.open(root).search(queries).hits]
        for root in (tiny_bundle, moved)
    ]

    def recall(ranking, item) -> float:
        return sum(ranking.index(item) < k for k in KS) / 3

    def write(path: Path, helps: Sequence[bool]) -> Path:
        lines = []
        for number, (text, plain, after) in enumerate(zip(texts, *rankings, strict=True)):
            if number == len(helps):
                break
            effects = {item: recall(after, item) - recall(plain, item) for item in plain[:300]}
            item = (max if helps[number] else min)(effects, key=effects.__getitem__)
            assert effects[item] != 0
            assert (effects[item] > 0) == helps[number]
            lines.append({"query_id": f"q{number}.{text}", "query_text": text, "item_ids": [item]})
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        return path

    return write
