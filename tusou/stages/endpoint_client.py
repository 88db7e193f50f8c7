"""Requests to an endpoint with the interface of OpenAI's chat completions."""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx

from tusou.core.circuit_breaker import CircuitBreaker
from tusou.core.errors import DeadlineExceeded, Unavailable
from tusou.stages.endpoint_prompt import Message

_MAX_REPLY_BYTES = 2**20
_MAX_TRIES = 6
_SILENT_SECONDS = 120.0  # between parts of a reply; the deadline comes first
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between tries; each pause is up to twice as long
_LONGEST_REFUSAL = 60.0  # seconds of a Retry-After that are believed
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MISUNDERSTOOD = frozenset({400, 422})
# Forms of a request, tried in order until the server understands one: many know no schema, and
# some models accept neither temperature nor the old name of the token limit.
_OPTIONAL = (("temperature", "max_tokens", "response_format"), ("temperature", "max_tokens"), ())

_log = logging.getLogger(__name__)


class EndpointUnavailable(Unavailable):
    """The endpoint does not answer, or answers with an error."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Completion:
    """The text of a completion, "" where there is none, and the tokens that it cost."""

    text: str
    tokens: int = 0  # of question and answer, as the server counts them


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
    ) -> None:
        """Timeouts count as failures of the server where it had at least `patience` seconds.

        `server` names it in messages.
        """
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model, self._patience = model, patience
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Not those of the environment: ~/.netrc would replace the key.
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=_SILENT_SECONDS,
            limits=httpx.Limits(max_connections=None),  # the callers limit the calls in flight
            trust_env=False,
            verify=ssl.create_default_context(),
        )
        self._breaker = CircuitBreaker(server, EndpointUnavailable)
        self._server = server
        self._form = 0
        self._refused_until = 0.0

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
        max_tokens: int,
        deadline: float,
    ) -> Completion:
        """Return a completion.

        Tries again while there is time. Raises EndpointUnavailable, and DeadlineExceeded at
        `deadline`, in seconds of `time.monotonic`.
        """
        body = {
            "model": self._model,
            "messages": messages,
            "temperature": 0,
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
                    raise EndpointUnavailable(f"no answer within {seconds:.2g} seconds") from None
                raise DeadlineExceeded("no answer within the time that was left") from None

    async def _complete(self, body: dict[str, Any], deadline: float) -> Completion:
        pause = _FIRST_PAUSE
        for number in range(_MAX_TRIES):
            wait = self._refused_until - monotonic()
            if wait > 0:
                await self._sleep(wait, deadline, "the endpoint refuses requests for now")
            try:
                return await self._try(body)
            except (httpx.HTTPError, _TryAgain) as error:
                message = str(error) if isinstance(error, _TryAgain) else type(error).__name__
                if number == _MAX_TRIES - 1:
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
            reply = await self._post({k: v for k, v in body.items() if k not in left_out})
            if reply.status in _MISUNDERSTOOD and form < len(_OPTIONAL) - 1:
                continue
            completion = self._read(reply)
            if form > self._form:
                _log.info("%s accepts requests without %s", self._server, sorted(left_out))
                self._form = form
            return completion
        raise AssertionError("unreachable")

    async def _post(self, body: Mapping[str, Any]) -> _Reply:
        data = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        headers = {"Content-Type": "application/json"}
        async with self._http.stream("POST", self._url, content=data, headers=headers) as response:
            received = bytearray()
            async for part in response.aiter_bytes():
                received += part
                if len(received) > _MAX_REPLY_BYTES:
                    raise EndpointUnavailable("the endpoint answered with more than 1 MiB")
        retry_after = _seconds(response.headers.get("Retry-After"))
        return _Reply(response.status_code, bytes(received), retry_after)

    def _read(self, reply: _Reply) -> Completion:
        message = f"the endpoint answered with status {reply.status}"
        if reply.status in _RETRIED:
            if reply.retry_after is not None:
                self._refused_until = monotonic() + min(reply.retry_after, _LONGEST_REFUSAL)
            raise _TryAgain(message)
        if reply.status != httpx.codes.OK:
            raise EndpointUnavailable(message)
        try:
            body = json.loads(reply.body)
            content = body["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise EndpointUnavailable("the endpoint's answer is no chat completion") from None
        return Completion(_text(content), _tokens(body.get("usage")))


class _TryAgain(Exception):
    """A later try may succeed."""


def _text(content: object) -> str:
    """Return the text of a message, which some servers send in parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _tokens(usage: object) -> int:
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and total >= 0 else 0


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After in seconds; its form with a date is not used by such servers."""
    return (
        float(retry_after)
        if retry_after and retry_after.isascii() and retry_after.isdigit()
        else None
    )
