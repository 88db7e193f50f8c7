"""A reranker whose scores a test chooses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tusou.stages.base import RerankTask, ScoredPart


@dataclass(eq=False)
class ChosenScores:
    """Scores items by row key, `part` at a time; None stands for an item without a score."""

    score_of: Callable[[int], float | None]
    depth: int = 10
    part: int = 4
    weight: float = 1.0
    seconds: float = 5.0
    threads: int = 1
    before_part: Callable[[], object] = lambda: None
    tasks: list[RerankTask] = field(default_factory=list)

    def score(self, task: RerankTask, deadline: float) -> Iterator[ScoredPart]:
        self.tasks.append(task)
        for start in range(0, len(task.keys), self.part):
            self.before_part()
            keys = list(enumerate(task.keys))[start : start + self.part]
            scored = [(n, score) for n, key in keys if (score := self.score_of(key)) is not None]
            yield [n for n, _ in scored], [score for _, score in scored]

    def warm_up(self) -> None: ...
