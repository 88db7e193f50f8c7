"""A client of a model that waits, up to a limit, while the server is down or refuses requests."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

from tusou.core.errors import DeadlineExceeded, Unavailable
from tusou.stages.endpoint_client import (
    ChatClient,
    Completion,
    EndpointUnavailable,
    QuestionFailed,
    QuestionRefused,
)
from tusou.stages.endpoint_prompt import Message
from tusou_lab.evalset.llm_cost import LlmCost

LONGEST_REFUSAL = 3600.0  # seconds without an answer for which a Retry-After is believed
_TRIES = 3  # of a question that alone has no answer
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0  # seconds between tries


class PatientClient:
    """Asks until there is an answer, or until the server was down for too long; counts the cost.

    A Retry-After does not count as being down: the client waits, up to an hour without any answer.
    A question that keeps failing while the server answers others counts as refused.
    """

    def __init__(
        self,
        client: ChatClient,
        timeout: float,
        patience: float,
        cost: LlmCost,
        *,
        worked: bool,
    ) -> None:
        """`worked` says that the server has answered such questions before. Times in seconds."""
        self._client, self._timeout, self._patience = client, timeout, patience
        self._cost, self._worked = cost, worked
        self.start_waiting()

    def start_waiting(self) -> None:
        """Count the time without an answer from now on."""
        self._answered_at = self._last_sign_at = monotonic()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(
        self, messages: Sequence[Message], schema: dict[str, Any], max_tokens: int
    ) -> Completion:
        """Return a completion; QuestionRefused, and EndpointUnavailable when patience ends.

        Until the server has answered something, an error is assumed to concern all questions, such
        as a wrong name of the model.
        """
        pause, failures, failed_at = _FIRST_PAUSE, 0, monotonic()
        while True:
            await self._wait_while_refused()
            try:
                deadline = monotonic() + self._timeout
                completion = await self._client.complete(messages, schema, max_tokens, deadline)
            except (EndpointUnavailable, DeadlineExceeded, QuestionRefused) as error:
                if self._client.refused_for:
                    continue
                refused = isinstance(error, QuestionRefused) and self._worked
                failed = isinstance(error, QuestionFailed) and self._answered_at > failed_at
                failures += refused or failed
                if failures >= _TRIES:
                    raise QuestionRefused(str(error)) from None
                self._check_patience(error)
                failed_at = monotonic()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            self._count(completion)
            return completion

    async def _wait_while_refused(self) -> None:
        """Wait for the end of a Retry-After; EndpointUnavailable after an hour of them."""
        while (seconds := self._client.refused_for) > 0:
            until = monotonic() + seconds
            if until - self._answered_at > LONGEST_REFUSAL:
                raise EndpointUnavailable(
                    f"the server refuses requests for another {seconds:.0f} seconds"
                )
            self._last_sign_at = max(self._last_sign_at, until)
            await asyncio.sleep(seconds)

    def _check_patience(self, error: Unavailable | DeadlineExceeded) -> None:
        if monotonic() - self._last_sign_at > self._patience:
            raise EndpointUnavailable(str(error)) from None

    def _count(self, completion: Completion) -> None:
        self._answered_at = self._last_sign_at = monotonic()
        self._worked = True
        self._cost.questions += 1
        self._cost.tokens += completion.tokens
        self._cost.answer_tokens += completion.answer_tokens
