"""Agreement of the toy judge with the attributes of products that it has never seen.

The whole way is the one of a user: a set is planned and pooled, and judged by the attributes and
through the server of `transformers serve`.
"""

from collections.abc import Iterable
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
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.toy.products import draw_facts, is_held_out, item_id
from tusou_lab.toy.queries import is_reserved

from benchmarks.model_server import ModelServer
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.evaluation.agreement import measure_agreement

_SEED, _SPLIT = 23, "test"
_DRAWING = Drawing(depth=20, certain=5, ranked=4, unranked=5, seed=1)
_IN_FLIGHT = 4


def measure(model: Path, domain: Domain, images: int, folder: Path) -> dict[str, Any]:
    """Judge a set over `images` new images; return the counts and the agreement."""
    set_folder = write_set(folder, domain, images)
    bundle = Bundle.open(folder / "bundle")
    judge_set(set_folder, AttributeJudge(bundle), 1, NoProgress())
    server = ModelServer(folder)
    server.start()
    try:
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
        **agreements(set_folder, judge.name, images),
    }


def write_set(folder: Path, domain: Domain, images: int) -> SetFolder:
    """Draw a pool of the split `test`, index it with the demo model, plan queries and pool them."""
    write_toy(folder, [SplitSize(_SPLIT, images, 1)], _SEED)
    pool = folder / f"MR_{_SPLIT}_imgs.tsv"
    attributes = folder / f"MR_{_SPLIT}_attributes.jsonl"
    build(
        BuildSpec(str(pool), "demo", attributes=attributes, workers=1),
        folder / "bundle",
        NoProgress(),
    )
    planned = plan_queries(domain, Bundle.open(folder / "bundle").attributes, _SEED)
    created = SetFolder(folder / "set")
    plan = {"domain": domain.model_dump(), "seed": _SEED}
    created.create(plan, planned.queries, force=False)
    pool_systems(created, folder / "bundle", [folder / "bundle"], _DRAWING, NoProgress())
    return created


def agreements(folder: SetFolder, judge: str, images: int) -> dict[str, Any]:
    """Return the agreement with the truth: of all pairs, and of the hardest to foresee."""
    graded: dict[tuple[int, str], dict[str, int]] = {}
    for each in folder.judgments(JUDGMENTS):
        if each.grade is not None:
            pair = (each.query_id, str(each.item_id))
            graded.setdefault(pair, {})[each.judge] = each.grade
    both = {pair: grades for pair, grades in graded.items() if len(grades) == 2}
    texts = {query.query_id: query.text for query in folder.queries()}
    held_out = {
        str(item_id(_SPLIT, index))
        for index in range(images)
        if is_held_out(draw_facts(_SEED, _SPLIT, index)[0])
    }
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
