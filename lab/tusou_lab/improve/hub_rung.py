"""The rung of the hub correction, which is fitted on vectors in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Vectors
from tusou.evaluation.judgments import Judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import VectorPart, combine
from tusou_lab.evaluate.bundle_queries import encode_text_queries, read_text_queries
from tusou_lab.improve.fit_hub import fit_hub
from tusou_lab.improve.recipes import Recipe
from tusou_lab.improve.rungs import Standing, Tools


@dataclass(frozen=True, slots=True)
class HubRung:
    """Hub correction by a bank of queries: a file, or DATA#SPLIT."""

    query_bank: str
    name: str = "hub"

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Fit strength and number of queries on the cosines, without the other stages."""
        trials = tools.trials
        recipe = below.recipe.with_stages({"--query-bank": self.query_bank})
        bundle = Bundle.open(tools.maker.make(recipe))
        plain = tools.maker.plain_of(below.recipe)
        queries = encode_judged(plain, trials.judgments, trials.cache, interpret=trials.interpret)
        choosing = trials.halves.choosing.tolist()
        rows = [trials.judgments.rows[position] for position in choosing]
        correct = [{bundle.ids.key(str(item)) for item in row.correct} - {None} for row in rows]
        fitted = fit_hub(
            bundle.vectors,
            bundle.query_bank,
            queries[choosing],
            [[key for key in keys if key is not None] for keys in correct],
        )
        if not fitted.alpha or fitted.gain <= 0:
            return None
        return recipe.with_stages({"--hub-alpha": f"{fitted.alpha:g}", "--hub-k": str(fitted.k)})


def encode_judged(
    root: Path, judgments: Judgments, cache: Path, *, interpret: bool = True
) -> Vectors:
    """Return the vectors of the judged queries as a bundle's searches encode them, (q, d)."""
    queries = read_text_queries(judgments, 1, interpret=interpret)
    encoded = encode_text_queries(SearchPipeline.open(root), queries, cache, NoProgress())
    return np.stack(
        [
            combine(
                query.parts, [part.vector for part in query.parts if isinstance(part, VectorPart)]
            )
            for query in encoded
        ]
    )
