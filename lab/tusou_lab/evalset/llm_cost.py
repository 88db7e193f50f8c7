"""Counts of the questions to a model, of their tokens, and their price."""

from dataclasses import dataclass
from typing import Self

from tusou.core.errors import InvalidRequest
from tusou_lab.evalset.judge import JudgeReport


@dataclass(slots=True)
class LlmCost:
    """Counts of the questions so far."""

    questions: int = 0  # with an answer
    tokens: int = 0  # of questions and answers
    answer_tokens: int = 0
    reused: int = 0  # judgments of equal images, which were not asked again
    refused: int = 0  # judgments without a grade, after several tries


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """The prices of a million tokens, in any currency."""

    question: float
    answer: float

    @classmethod
    def of(cls, question: float | None, answer: float | None) -> Self | None:
        """Return the prices, None without any; InvalidRequest where one of them is missing."""
        if question is None and answer is None:
            return None
        if question is None or answer is None:
            raise InvalidRequest("give both --price-in and --price-out")
        return cls(question, answer)

    def figures(self, cost: LlmCost, report: JudgeReport) -> dict[str, float]:
        """Return the price of a run, and of all judgments and guidelines of its judge."""
        return {
            "price": self._total(cost.tokens, cost.answer_tokens),
            "price_in_all": self._total(report.tokens_in_all, report.answer_tokens_in_all),
        }

    def _total(self, tokens: int, answer_tokens: int) -> float:
        price = (tokens - answer_tokens) * self.question + answer_tokens * self.answer
        return round(price / 1e6, 6)
