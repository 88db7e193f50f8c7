"""Searches of bundles for all judged queries; their runs are kept, so that a trial is made once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tusou.evaluation.judgments import Judgments, judge_run
from tusou.evaluation.metrics import Values, per_query
from tusou.evaluation.runs import Run
from tusou_lab.evaluate.export import save
from tusou_lab.evaluate.loading import load
from tusou_lab.evaluate.search_bundle import DEPTH, BundleSearchSpec, search_bundle
from tusou_lab.improve.gains import METRIC
from tusou_lab.improve.halves import Halves, Positions


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTrial:
    """The run of a bundle, and the metrics of each query."""

    run: Run
    values: Mapping[str, Values]  # by metric, in the order of the judgments

    def mean(self, positions: Positions) -> float:
        """Return mean_recall over some of the queries, 0..1."""
        return float(self.values[METRIC][positions].mean())


class TrialRunner:
    """Searches bundles; the queries' vectors and the runs are kept in a folder."""

    def __init__(
        self,
        folder: Path,
        answers: str,
        judgments: Judgments,
        halves: Halves,
        *,
        interpret: bool = True,
    ) -> None:
        """With `interpret`, what a text refuses is subtracted in every search."""
        self.judgments, self.halves, self.interpret = judgments, halves, interpret
        self.folder, self._answers = folder, answers
        self.cache = folder / "embeddings"  # of the queries

    def search(self, root: Path, key: str) -> ScoredTrial:
        """Search a bundle for every query, or read what an earlier trial of that key returned."""
        path = self.folder / "trials" / f"{key}.jsonl"
        if path.exists():
            run = load(path, self._answers, BundleSearchSpec(DEPTH)).run
        else:
            spec = BundleSearchSpec(DEPTH, self.interpret, self.cache)
            run = search_bundle(root, self.judgments, spec).run
            path.parent.mkdir(parents=True, exist_ok=True)
            save(path, run, self.judgments)
        return self.score(run)

    def score(self, run: Run) -> ScoredTrial:
        """Return a run with its metrics."""
        return ScoredTrial(run, per_query(judge_run(run, self.judgments), DEPTH))
