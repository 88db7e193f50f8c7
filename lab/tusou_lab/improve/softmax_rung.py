"""The rung of inverted softmax over a bank of queries."""

from dataclasses import dataclass

from tusou_lab.improve.index_rungs import choose_best
from tusou_lab.improve.recipes import Recipe
from tusou_lab.improve.rungs import Standing, Tools

SOFTMAX_BETAS = (5, 10, 20, 40)
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class SoftmaxRung:
    """Inverted softmax over the first items, by a bank of queries: a file, or DATA#SPLIT."""

    query_bank: str
    name: str = "softmax"

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Choose the temperature; a hub correction below keeps its strength, else there is none."""
        bank = {"--query-bank": self.query_bank}
        if "--hub-alpha" not in dict(below.recipe.stages):
            bank["--hub-alpha"] = "0"
        recipes = [
            below.recipe.with_stages(
                {**bank, "--softmax-depth": str(_DEPTH), "--softmax-beta": str(beta)}
            )
            for beta in SOFTMAX_BETAS
        ]
        return choose_best(recipes, below, tools)
