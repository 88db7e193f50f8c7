"""The rung of a reranker: its scores are computed once, depth and weight are chosen from them."""

import json
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.files import write_file
from tusou.core.hits import Hits
from tusou.core.ids import ItemId
from tusou.evaluation.runs import Run
from tusou.retrieval.pipeline import SearchPipeline
from tusou.stages.reranking import rerank_order
from tusou_lab.evaluate.bundle_queries import read_text_queries
from tusou_lab.evaluate.search_bundle import DEPTH
from tusou_lab.evaluate.search_queries import search_queries
from tusou_lab.improve.recipes import Options, Recipe
from tusou_lab.improve.rungs import Standing, Tools

DEPTHS, WEIGHTS = (20, 50, 100), (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class RerankScores:
    """The first items of one query, as they were retrieved, with the scores of a reranker."""

    items: tuple[ItemId, ...]
    cosines: tuple[float, ...]
    scores: tuple[float, ...]  # NaN where the reranker gave none

    def reorder(self, depth: int, weight: float) -> tuple[ItemId, ...]:
        """Return the items in the order of a search that reranks the first `depth`."""
        cosines = np.array(self.cosines[:depth], np.float32)
        scores = np.array(self.scores[:depth], np.float32)
        order = rerank_order(cosines, scores, weight)
        return (*(self.items[position] for position in order), *self.items[depth:])


@dataclass(frozen=True, slots=True)
class RerankRung:
    """A reranker, as options of `tusou stages`; it replaces one that the bundle has."""

    name: str
    options: Options
    depths: tuple[int, ...] = DEPTHS

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Choose depth and weight; of equally good ones the smaller depth, then weight."""
        base = below.recipe.without("--rerank").with_stages(dict(self.options))
        items = Bundle.open(below.root).item_count
        depths = sorted({min(depth, items) for depth in self.depths})
        recipe = base.with_stages({"--rerank-depth": str(depths[-1])})
        root = tools.maker.make(recipe)
        path = tools.trials.folder / "scores" / f"{recipe.key}.json"
        ranked = _read(path) or _score(root, tools, depths[-1], path)
        choosing = tools.trials.halves.choosing
        best, chosen = below.trial.mean(choosing), None
        rows = tools.trials.judgments.rows
        for depth, weight in product(depths, WEIGHTS):
            rankings = {
                row.query_id: each.reorder(depth, weight)[:DEPTH]
                for row, each in zip(rows, ranked, strict=True)
            }
            score = tools.trials.score(Run({}, rankings)).mean(choosing)
            if score > best:
                best, chosen = score, (depth, weight)
        if chosen is None:
            return None
        limits = {"--rerank-depth": str(chosen[0]), "--rerank-weight": f"{chosen[1]:g}"}
        return base.with_stages(limits)


def _score(root: Path, tools: Tools, depth: int, path: Path) -> list[RerankScores]:
    """Search every query without and with the reranker, and keep what comes out."""
    judgments = tools.trials.judgments
    pipeline = SearchPipeline.open(root)
    queries = read_text_queries(judgments, depth, interpret=tools.trials.interpret)
    unranked = [replace(query, rerank=False) for query in queries]
    explained = [replace(query, explain=True) for query in queries]
    plain = search_queries(pipeline, judgments, unranked, NoProgress())
    scored = search_queries(pipeline, judgments, explained, NoProgress())
    ranked = [_pair(*hits) for hits in zip(plain, scored, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [[each.items, each.cosines, each.scores] for each in ranked]
    write_file(path, json.dumps(rows, ensure_ascii=False).encode())
    return ranked


def _pair(plain: Hits, scored: Hits) -> RerankScores:
    """Return the ranking before the reranker, with its scores."""
    by_item = {
        item: stages.get("rerank", float("nan"))
        for item, stages in zip(scored.item_ids, scored.stage_scores, strict=True)
    }
    scores = tuple(by_item.get(item, float("nan")) for item in plain.item_ids)
    return RerankScores(plain.item_ids, plain.scores, scores)


def _read(path: Path) -> list[RerankScores] | None:
    if not path.exists():
        return None
    return [RerankScores(*map(tuple, row)) for row in json.loads(path.read_bytes())]
