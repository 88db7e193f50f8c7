"""Requests to an endpoint with the interface of OpenAI's chat completions."""

import asyncio
import json
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any

from tusou.core.circuit_breaker import CircuitBreaker
from tusou.core.errors import DeadlineExceeded, Unavailable
from tusou.stages.endpoint_http import (
    BrokenOff,
    EndpointConnections,
    EndpointReply,
    EndpointUnavailable,
    NotConnected,
    QuestionFailed,
)
from tusou.stages.endpoint_prompt import Message

__all__ = ["ChatClient", "Completion", "EndpointUnavailable", "QuestionFailed", "QuestionRefused"]

_MAX_TRIES = 6
_SHOWN = 200  # characters of an endpoint's error message
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between tries; each pause is up to twice as long
_LONGEST_REFUSAL = 60.0  # seconds of a Retry-After that are believed
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MISUNDERSTOOD = frozenset({400, 422})
_REFUSED = _MISUNDERSTOOD | {413, 415}  # for what a question holds, such as its image
# Forms of a request, tried in order until the server understands one: many know no schema, and
# some models accept neither temperature nor the old name of the token limit.
_OPTIONAL = (("temperature", "max_tokens", "response_format"), ("temperature", "max_tokens"), ())

_log = logging.getLogger(__name__)


class QuestionRefused(Unavailable):
    """The endpoint answers, but not this question: another may have an answer."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The text of a completion, "" where there is none, and the tokens that it cost."""

    text: str
    tokens: int = 0  # of question and answer, as the server counts them
    answer_tokens: int = 0  # those of the answer alone


class ChatClient:
    """Asks one model; safe for concurrent calls in one event loop.

    Failures in a row open a circuit breaker, and a Retry-After holds for all calls.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        patience: float,
        server: str = "the rerank endpoint",
        *,
        temperature: float = 0,
        longest_refusal: float = _LONGEST_REFUSAL,
    ) -> None:
        """Timeouts count as failures of the server where it had at least `patience` seconds.

        `server` names it in messages; `longest_refusal` are the seconds of a Retry-After that are
        believed.
        """
        self._model, self._patience = model, patience
        self._temperature, self._longest_refusal = temperature, longest_refusal
        self._http = EndpointConnections(f"{url.rstrip('/')}/chat/completions", key)
        self._breaker = CircuitBreaker(server, EndpointUnavailable)
        self._server = server
        self._form = 0
        self._refused_until = 0.0

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @property
    def refused_for(self) -> float:
        """The seconds for which a Retry-After still forbids requests."""
        return max(0.0, self._refused_until - monotonic())

    async def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
        max_tokens: int,
        deadline: float,
    ) -> Completion:
        """Return a completion.

        Tries again while there is time. Raises EndpointUnavailable, QuestionRefused, and
        DeadlineExceeded at `deadline`, in seconds of `time.monotonic`.
        """
        body = {
            "model": self._model,
            "messages": messages,
            "temperature": self._temperature,
            "max_tokens": max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "grades", "strict": True, "schema": schema},
            },
        }
        seconds = deadline - monotonic()
        with self._breaker.call():
            try:
                async with asyncio.timeout(seconds):
                    return await self._complete(body, deadline)
            except TimeoutError:
                if seconds >= self._patience:
                    raise QuestionFailed(f"no answer within {seconds:.2g} seconds") from None
                raise DeadlineExceeded("no answer within the time that was left") from None

    async def _complete(self, body: dict[str, Any], deadline: float) -> Completion:
        pause = _FIRST_PAUSE
        for number in range(_MAX_TRIES):
            if (wait := self.refused_for) > 0:
                await self._sleep(wait, deadline, "the endpoint refuses requests for now")
            try:
                return await self._try(body)
            except (NotConnected, BrokenOff, _TryAgain) as error:
                message = str(error)
                if number == _MAX_TRIES - 1:
                    if isinstance(error, (_TryFailed, BrokenOff)):
                        raise QuestionFailed(message) from None
                    break
            await self._sleep(random.uniform(pause / 2, pause), deadline, message)  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise EndpointUnavailable(message)

    async def _sleep(self, seconds: float, deadline: float, message: str) -> None:
        """Sleep, or raise EndpointUnavailable at once where no time would be left after it."""
        if monotonic() + seconds >= deadline:
            raise EndpointUnavailable(message)
        await asyncio.sleep(seconds)

    async def _try(self, body: dict[str, Any]) -> Completion:
        for form in range(self._form, len(_OPTIONAL)):
            left_out = {*_OPTIONAL[0]}.difference(_OPTIONAL[form])
            fields = {name: value for name, value in body.items() if name not in left_out}
            data = json.dumps(fields, ensure_ascii=False).encode(errors="replace")
            reply = await self._http.post(data)
            if reply.status in _MISUNDERSTOOD and form < len(_OPTIONAL) - 1:
                continue
            completion = self._read(reply)
            if form > self._form:
                _log.info("%s accepts requests without %s", self._server, sorted(left_out))
                self._form = form
            return completion
        raise AssertionError("unreachable")

    def _read(self, reply: EndpointReply) -> Completion:
        message = f"the endpoint answered with status {reply.status}{_error(reply.body)}"
        if reply.status in _RETRIED:
            if reply.retry_after is not None:
                refused = min(reply.retry_after, self._longest_refusal)
                self._refused_until = max(self._refused_until, monotonic() + refused)
            failed = reply.status == HTTPStatus.INTERNAL_SERVER_ERROR
            raise (_TryFailed if failed else _TryAgain)(message)
        if reply.status in _REFUSED:
            raise QuestionRefused(message)
        if reply.status != HTTPStatus.OK:
            raise EndpointUnavailable(message)
        try:
            body = json.loads(reply.body)
            message = body["choices"][0]["message"]
            content = message["content"] or message.get("refusal")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise QuestionFailed("the endpoint's answer is not a chat completion") from None
        usage = body.get("usage")
        return Completion(
            _text(content), _count(usage, "total_tokens"), _count(usage, "completion_tokens")
        )


class _TryAgain(Exception):
    """A later try may succeed."""


class _TryFailed(_TryAgain):
    """The server failed; if it does every time, that may be due to the question."""


def _text(content: object) -> str:
    """Return the text of a message, which some servers send in parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _count(usage: object, name: str) -> int:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count >= 0 else 0


def _error(body: bytes) -> str:
    """Return the message in the body of an error, shortened, behind a colon; "" without one."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for name in ("error", "message", "detail"):
        value = value.get(name, value) if isinstance(value, dict) else value
    return f": {value[:_SHOWN]}" if isinstance(value, str) else ""
