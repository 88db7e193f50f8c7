"""Agreement of the toy judge with the attributes of products that it has never seen.

The whole way is the one of a user: a set is planned and pooled, and judged by the attributes and
through the server of `transformers serve`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from tusou_indexer.build import BuildSpec, build
from tusou_lab.evalset.attribute_judge import AttributeJudge
from tusou_lab.evalset.domain import Domain
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.judge import JUDGMENTS, judge_set
from tusou_lab.evalset.llm_judge import LlmSpec
from tusou_lab.evalset.open_judge import open_llm_judge
from tusou_lab.evalset.plan import plan_queries
from tusou_lab.evalset.pool import pool_systems
from tusou_lab.evalset.set_folder import SetFolder
from tusou_lab.toy.queries import is_reserved

from benchmarks.model_server import ModelServer
from benchmarks.toy_judge.world import ToyItem, draw_items
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.evaluation.agreement import measure_agreement

_SEED, _SPLIT = 23, "test"
_DRAWING = Drawing(depth=20, certain=5, ranked=4, unranked=5, seed=1)
_IN_FLIGHT = 4


def measure(
    model: Path, domain: Domain, images: int, folder: Path, categories: int | None = None
) -> dict[str, Any]:
    """Judge a set over `images` new images; return the counts and the agreement."""
    items = draw_items(images, _SPLIT, _SEED, categories)
    set_folder = write_set(folder, domain, items)
    bundle = Bundle.open(folder / "bundle")
    judge_set(set_folder, AttributeJudge(bundle), 1, NoProgress())
    server = ModelServer(folder)
    try:
        server.start()
        began = perf_counter()
        spec = LlmSpec(server.url, str(model), in_flight=_IN_FLIGHT, timeout=300, patience=300)
        judge = open_llm_judge(set_folder, bundle, spec, None)
        report = judge_set(set_folder, judge, 1, NoProgress())
        seconds = perf_counter() - began
        judge.close()
    finally:
        server.kill()
    return {
        "queries": len(set_folder.queries()),
        "pairs": report.pairs,
        "without_grade": report.without_grade,
        "tokens": report.tokens_in_all,
        "seconds_of_judging": round(seconds, 1),
        **agreements(set_folder, judge.name, items),
    }


def write_set(folder: Path, domain: Domain, items: Sequence[ToyItem]) -> SetFolder:
    """Index images with the demo model, plan queries and pool them."""
    images, attributes = folder / "images", folder / "attributes.jsonl"
    images.mkdir()
    rows = []
    for number, item in enumerate(items):
        (images / f"{number}.jpg").write_bytes(item.image)
        row = {"item_id": str(number), "category": item.category, "tags": item.tags}
        rows.append(json.dumps(row, ensure_ascii=False))
    attributes.write_text("\n".join(rows) + "\n", encoding="utf-8")
    build(
        BuildSpec(str(images), "demo", attributes=attributes, workers=1),
        folder / "bundle",
        NoProgress(),
    )
    planned = plan_queries(domain, Bundle.open(folder / "bundle").attributes, _SEED)
    created = SetFolder(folder / "set")
    plan = {"domain": domain.model_dump(), "seed": _SEED}
    created.create(plan, planned.queries, force=False)
    pool_systems(created, folder / "bundle", [folder / "bundle"], _DRAWING, NoProgress())
    return created


def agreements(folder: SetFolder, judge: str, items: Sequence[ToyItem]) -> dict[str, Any]:
    """Return the agreement with the truth: of all pairs, and of the hardest to foresee."""
    graded: dict[tuple[int, str], dict[str, int]] = {}
    for each in folder.judgments(JUDGMENTS):
        if each.grade is not None:
            pair = (each.query_id, str(each.item_id))
            graded.setdefault(pair, {})[each.judge] = each.grade
    both = {pair: grades for pair, grades in graded.items() if len(grades) == 2}
    texts = {query.query_id: query.text for query in folder.queries()}
    held_out = {str(number) for number, item in enumerate(items) if item.held_out}
    slices = {
        "all": both,
        "wordings_kept_from_training": {
            pair for pair in both if not is_reserved(texts[pair[0]], "train")
        },
        "combinations_kept_from_training": {pair for pair in both if pair[1] in held_out},
    }
    return {
        name: _agreement([both[pair] for pair in pairs], judge) for name, pairs in slices.items()
    }


def _agreement(graded: Iterable[dict[str, int]], judge: str) -> dict[str, Any] | None:
    pairs = [(grades[AttributeJudge.name], grades[judge]) for grades in graded]
    if not pairs:
        return None
    truth, grades = zip(*pairs, strict=True)
    figures = asdict(measure_agreement(truth, grades, correct_from=3))
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in figures.items()
        if name != "equal_interval"
    }
