"""A judge that asks a vision language model through OpenAI's chat completions API."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadImage, NoImage
from tusou.stages.endpoint_client import ChatClient, QuestionRefused
from tusou.stages.endpoint_image import ImageCache
from tusou.stages.endpoint_spec import check_url
from tusou.stages.loop_thread import LoopThread
from tusou_lab.evalset.image_contents import ImageContents
from tusou_lab.evalset.in_flight import ask_in_flight
from tusou_lab.evalset.judgment import Judgment, PairToJudge
from tusou_lab.evalset.llm_answers import ReadGrade, read_grade, read_guideline
from tusou_lab.evalset.llm_cost import LlmCost
from tusou_lab.evalset.llm_prompt import (
    GRADE_TOKENS,
    GUIDELINE_TOKENS,
    grade_messages,
    grade_schema,
    guideline_messages,
    guideline_schema,
    prompt_digest,
)
from tusou_lab.evalset.patient_client import LONGEST_REFUSAL, PatientClient
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.set_folder import Guideline

_TRIES = 3  # of a question whose answer holds no grade
_IMAGE_BYTES = 256 * 2**20  # of images as they are sent, kept for further queries

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
    temperature: float = 0.0
    timeout: float = 120.0  # seconds for one answer, with its retries

    def __post_init__(self) -> None:
        check_url(self.url)


def judge_name(spec: LlmSpec, domain_guideline: str | None) -> str:
    """Return the name of a model as a judge: with the digest of the prompts and the image size."""
    digest = prompt_digest(domain_guideline, spec.image_side)
    temperature = f"@t{spec.temperature:g}" if spec.temperature else ""
    return f"{spec.model}@{digest}{temperature}"


class LlmJudge:
    """Grades images by a model, after it has written a guideline for each query.

    Identical images are asked about once per query. If an answer has no grade, the question is
    asked a few times more, then recorded as a judgment without a grade. Raises EndpointUnavailable
    when the server gives no answer for the time of the spec's patience.
    """

    def __init__(
        self,
        spec: LlmSpec,
        bundle: Bundle,
        domain_guideline: str | None,
        guidelines: Mapping[int, str],
        known: Sequence[Judgment],
        keep_guideline: Callable[[Guideline], None],
    ) -> None:
        """`guidelines` are those written before, by query; `keep_guideline` stores a new one."""
        self.name = judge_name(spec, domain_guideline)
        self.cost = LlmCost()
        self._spec, self._bundle, self._domain = spec, bundle, domain_guideline
        self._contents = ImageContents(bundle)
        self._guidelines = dict(guidelines)
        self._keep = keep_guideline
        ours = [each for each in known if each.judge == self.name]
        self._known: dict[_Content, Judgment] = {
            (each.query_id, each.content, each.repeat): each for each in ours if each.content
        }
        self._images = ImageCache(spec.image_side, _IMAGE_BYTES)
        # A model that has graded before is set up rightly, and refuses questions for what they are.
        worked = any(each.grade is not None for each in ours)
        self._client = PatientClient(
            ChatClient(
                spec.url, spec.model, spec.key, spec.timeout, "the model's server",
                temperature=spec.temperature, longest_refusal=LONGEST_REFUSAL,
            ),
            spec.timeout, spec.patience, self.cost, worked=worked,
        )  # fmt: skip
        self._thread = LoopThread("evalset-judge", self._client.aclose)

    def close(self) -> None:
        """Close all connections."""
        self._thread.close()

    def judge(self, pairs: Sequence[PairToJudge], repeat: int) -> Iterator[list[Judgment]]:
        self._client.start_waiting()
        queries = {each.query.query_id: each.query for each in pairs}
        missing = [query for key, query in queries.items() if key not in self._guidelines]
        limit = self._spec.in_flight
        for written in ask_in_flight(self._thread, self._write_guideline, missing, limit):
            for guideline in written:
                self._guidelines[guideline.query_id] = guideline.text
                self._keep(guideline)
        first: dict[_Content, PairToJudge] = {}
        again: list[tuple[PairToJudge, _Content]] = []
        for each in pairs:
            digest = self._contents.of(str(each.pair.item_id))
            content = (each.pair.query_id, digest, repeat)
            if content in self._known or content in first:
                again.append((each, content))
            else:
                first[content] = each
        questions = [(each, content) for content, each in first.items()]
        for judged in ask_in_flight(self._thread, self._grade, questions, limit):
            for judgment in judged:
                self._known[judgment.query_id, judgment.content, repeat] = judgment
            yield judged
        self.cost.reused += len(again)
        if again:
            yield [self._copy(each, self._known[content]) for each, content in again]

    async def _write_guideline(self, query: PlannedQuery) -> Guideline:
        messages = guideline_messages(query.text, self._domain)
        text, tokens, answer_tokens = "", 0, 0
        for _ in range(_TRIES):
            try:
                completion = await self._client.ask(messages, guideline_schema(), GUIDELINE_TOKENS)
            except QuestionRefused:
                break
            tokens += completion.tokens
            answer_tokens += completion.answer_tokens
            if guideline := read_guideline(completion.text):
                text = guideline
                break
        # Without a guideline, the grades of the scale alone are what the model is told.
        return Guideline(query.query_id, self.name, text, tokens, answer_tokens)

    async def _grade(self, asked: tuple[PairToJudge, _Content]) -> Judgment:
        each, (query_id, content, repeat) = asked
        tokens = answer_tokens = 0
        read = ReadGrade(None, "")
        try:
            image = await self._image(str(each.pair.item_id), content)
            messages = grade_messages(each.query.text, self._guidelines[query_id], image)
            for _ in range(_TRIES):
                completion = await self._client.ask(messages, grade_schema(), GRADE_TOKENS)
                tokens += completion.tokens
                answer_tokens += completion.answer_tokens
                read = read_grade(completion.text)
                if read.grade is not None:
                    break
        except (BadImage, NoImage) as error:
            read = ReadGrade(None, f"the image cannot be sent: {error}")
        except QuestionRefused as error:
            read = ReadGrade(None, f"the question has no answer: {error}")
        self.cost.refused += read.grade is None
        return Judgment(
            query_id, each.pair.item_id, self.name, read.grade, read.reason, repeat, content,
            tokens, answer_tokens,
        )  # fmt: skip

    async def _image(self, item: str, content: str) -> str:
        """Return an image as it is sent; BadImage, NoImage. Each is prepared once."""
        key = content.encode()
        if (uri := self._images.get(key)) is not None:
            return uri
        return await asyncio.to_thread(self._prepare, item, key)

    def _prepare(self, item: str, key: bytes) -> str:
        data, _ = self._bundle.image(item)
        return self._images.uri(key, data)

    def _copy(self, each: PairToJudge, judged: Judgment) -> Judgment:
        return replace(judged, item_id=each.pair.item_id, tokens=0, answer_tokens=0)
