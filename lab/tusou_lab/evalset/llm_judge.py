"""A judge that asks a vision language model, by the interface of OpenAI's chat completions."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, TypeVar

from tusou.bundle.bundle import Bundle
from tusou.bundle.content import (
    CONTENT,
    ContentDigests,
    content_digest,
    read_content_digests,
)
from tusou.core.errors import BadImage, DeadlineExceeded, NoImage
from tusou.stages.endpoint_client import ChatClient, Completion, EndpointUnavailable
from tusou.stages.endpoint_image import to_data_uri
from tusou.stages.endpoint_prompt import Message
from tusou.stages.loop_thread import LoopThread
from tusou_lab.evalset.judgment import Judgment, PairToJudge
from tusou_lab.evalset.llm_answers import read_grade, read_guideline
from tusou_lab.evalset.llm_prompt import (
    GRADE_TOKENS,
    GUIDELINE_TOKENS,
    grade_messages,
    grade_schema,
    guideline_messages,
    guideline_schema,
    prompt_digest,
)
from tusou_lab.evalset.plan import PlannedQuery

_QUESTION_SECONDS = 120.0
_TRIES = 3  # of a question whose answer holds no grade
_LONGEST_PAUSE = 5.0  # seconds between tries while the server is away

T = TypeVar("T")
R = TypeVar("R")

# A pair's query, the digest of its image, and the repeat.
_Content = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class LlmSpec:
    """The server, the model, and how it is asked."""

    url: str
    model: str
    key: str | None = None
    in_flight: int = 16  # questions at the same time
    image_side: int = 448  # of the images that are sent, pixels
    patience: float = 60.0  # seconds without any answer after which judging ends


@dataclass(slots=True)
class LlmCost:
    """Counts of the questions so far."""

    questions: int = 0
    tokens: int = 0
    reused: int = 0  # judgments of equal images, which were not asked again
    refused: int = 0  # answers without a grade


def judge_name(spec: LlmSpec, domain_guideline: str | None) -> str:
    """Return the name of a model as a judge: with the digest of the prompts and the image size."""
    return f"{spec.model}@{prompt_digest(domain_guideline, spec.image_side)}"


class LlmJudge:
    """Grades images by a model, after it has written a guideline for each query.

    Equal images of one query are asked about once. An answer without a grade is asked for again a
    few times, then recorded as a judgment without a grade. Raises EndpointUnavailable when the
    server gives no answer for the time of the spec's patience.
    """

    def __init__(
        self,
        spec: LlmSpec,
        bundle: Bundle,
        domain_guideline: str | None,
        guidelines: Mapping[int, str],
        known: Sequence[Judgment],
        keep_guideline: Callable[[int, str], None],
    ) -> None:
        """`guidelines` are those written before, by query; `keep_guideline` stores a new one."""
        self.name = judge_name(spec, domain_guideline)
        self.cost = LlmCost()
        self._spec, self._bundle, self._domain = spec, bundle, domain_guideline
        self._digests: ContentDigests | None = None
        if CONTENT in bundle.manifest.files:
            self._digests = read_content_digests(bundle.path(CONTENT), bundle.item_count)
        self._guidelines = dict(guidelines)
        self._keep = keep_guideline
        self._known: dict[_Content, Judgment] = {
            (each.query_id, each.content, each.repeat): each
            for each in known
            if each.judge == self.name and each.content
        }
        self._client = ChatClient(
            spec.url, spec.model, spec.key, _QUESTION_SECONDS, "the model's server"
        )
        self._thread = LoopThread("evalset-judge", self._client.aclose)
        self._answered_at = monotonic()

    def close(self) -> None:
        """Close all connections."""
        self._thread.close()

    def judge(self, pairs: Sequence[PairToJudge], repeat: int) -> Iterator[list[Judgment]]:
        queries = {each.query.query_id: each.query for each in pairs}
        missing = [query for key, query in queries.items() if key not in self._guidelines]
        for written in self._run(self._write_guideline, missing):
            for query_id, guideline in written:
                self._guidelines[query_id] = guideline
                self._keep(query_id, guideline)
        contents = [(each, self._content(each, repeat)) for each in pairs]
        first: dict[_Content, PairToJudge] = {}
        again: list[tuple[PairToJudge, _Content]] = []
        for each, content in contents:
            if content in self._known or content in first:
                again.append((each, content))
            else:
                first[content] = each
        asked = [(each, content) for content, each in first.items()]
        for judged in self._run(self._grade, asked):
            for judgment in judged:
                self._known[judgment.query_id, judgment.content, repeat] = judgment
            yield judged
        self.cost.reused += len(again)
        if again:
            yield [self._copy(each, self._known[content]) for each, content in again]

    def _run(
        self, ask: Callable[[T], Coroutine[Any, Any, R]], items: Sequence[T]
    ) -> Iterator[list[R]]:
        """Ask up to `in_flight` questions at once, and yield their results as they arrive."""
        waiting = iter(items)
        self._answered_at = monotonic()
        running: set[Future[R]] = set()
        try:
            while True:
                for item in waiting:
                    running.add(self._thread.submit(ask(item)))
                    if len(running) >= self._spec.in_flight:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                errors = [error for future in done if (error := future.exception())]
                yield [future.result() for future in done if not future.exception()]
                if errors:  # what was answered is kept first
                    raise errors[0]
        finally:
            for future in running:
                future.cancel()

    async def _write_guideline(self, query: PlannedQuery) -> tuple[int, str]:
        messages = guideline_messages(query.text, self._domain)
        for _ in range(_TRIES):
            completion = await self._ask(messages, guideline_schema(), GUIDELINE_TOKENS)
            if guideline := read_guideline(completion.text):
                return query.query_id, guideline
        return query.query_id, ""  # the grades of the scale alone

    async def _grade(self, asked: tuple[PairToJudge, _Content]) -> Judgment:
        each, (_, content, repeat) = asked
        pair, query = each.pair, each.query
        tokens = 0
        try:
            data, _ = self._bundle.image(str(pair.item_id))
            image = await asyncio.to_thread(to_data_uri, data, self._spec.image_side)
        except (BadImage, NoImage) as error:
            reason = f"the image cannot be sent: {error}"
            return Judgment(pair.query_id, pair.item_id, self.name, None, reason, repeat, content)
        messages = grade_messages(query.text, self._guidelines[query.query_id], image)
        for _ in range(_TRIES):
            completion = await self._ask(messages, grade_schema(), GRADE_TOKENS)
            tokens += completion.tokens
            read = read_grade(completion.text)
            if read.grade is not None:
                break
        else:
            self.cost.refused += 1
        return Judgment(
            pair.query_id, pair.item_id, self.name, read.grade, read.reason, repeat, content, tokens
        )

    async def _ask(
        self, messages: list[Message], schema: dict[str, object], tokens: int
    ) -> Completion:
        """Ask until there is an answer, or the server was away for too long."""
        pause = 0.5
        while True:
            try:
                deadline = monotonic() + _QUESTION_SECONDS
                completion = await self._client.complete(messages, schema, tokens, deadline)
            except (EndpointUnavailable, DeadlineExceeded):
                if monotonic() - self._answered_at > self._spec.patience:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            self._answered_at = monotonic()
            self.cost.questions += 1
            self.cost.tokens += completion.tokens
            return completion

    def _content(self, each: PairToJudge, repeat: int) -> _Content:
        item = str(each.pair.item_id)
        if self._digests is not None:
            return each.pair.query_id, self._digests[self._bundle.key(item)].tobytes().hex(), repeat
        try:
            data, _ = self._bundle.image(item)
        except (BadImage, NoImage):
            return each.pair.query_id, f"item {item}", repeat
        return each.pair.query_id, content_digest(data).hex(), repeat

    def _copy(self, each: PairToJudge, judged: Judgment) -> Judgment:
        return replace(judged, item_id=each.pair.item_id, tokens=0)
