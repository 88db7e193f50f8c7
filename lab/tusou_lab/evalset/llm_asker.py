"""Questions to a language model whose answers are kept, so that none is asked twice."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.stages.endpoint_client import ChatClient, QuestionRefused
from tusou.stages.endpoint_prompt import Message
from tusou_lab.evalset.llm_cost import LlmCost
from tusou_lab.evalset.patient_client import LONGEST_REFUSAL, PatientClient
from tusou_lab.evalset.set_folder import JudgmentFile

ANSWERS = "answers.jsonl"  # in the folder of a set

_TRIES = 3  # of a question whose answer cannot be used

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AskSpec:
    """The server, the model, and the limits of its questions."""

    url: str
    model: str
    key: str | None = None
    in_flight: int = 8  # questions at the same time
    patience: float = 30.0  # seconds without any answer after which asking ends
    timeout: float = 120.0  # seconds for one answer


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the schema of its answer, and the most tokens of it."""

    messages: tuple[Message, ...]
    schema: dict[str, Any]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The last answer to a question, whether it can be used or not."""

    key: str  # digest of the model and the question
    answer: str
    tokens: int = 0  # of all tries


@dataclass(slots=True)
class AskCost:
    """Counts of a run."""

    questions: int = 0  # answered now, repeated ones included
    tokens: int = 0
    kept: int = 0  # answers of earlier runs that were used again
    unusable: int = 0  # questions without a usable answer after all tries


class LlmAsker:
    """Asks one model, and stores each answer at once, so that a stopped run can be resumed."""

    def __init__(self, spec: AskSpec, folder: Path) -> None:
        """`folder` keeps the answers; BadDataset for a file of them that cannot be read."""
        self.cost = AskCost()
        self._spec, self._path = spec, folder / ANSWERS
        self._answers = _read_answers(self._path)
        self._before = frozenset(self._answers)
        self._used: dict[str, bool] = {}  # keys, and whether the answer can be used
        self._spent = LlmCost()

    @property
    def model(self) -> str:
        """The name of the model on its server."""
        return self._spec.model

    def ask(
        self,
        questions: Sequence[Question],
        read: Callable[[str], T | None],
        label: str,
        progress: Progress,
    ) -> list[T | None]:
        """Return what `read` makes of the answer to each question; None where it cannot be used.

        Raises EndpointUnavailable when the server gives no answer for the time of the patience.
        """
        keys = [self._key(question) for question in questions]
        missing = {
            key: question
            for key, question in zip(keys, questions, strict=True)
            if key not in self._answers
        }
        progress.begin(label, len(set(keys)), len(set(keys)) - len(missing))
        if missing:
            asyncio.run(self._ask_all(missing, read, progress))
        values = {key: read(self._answers[key].answer) for key in dict.fromkeys(keys)}
        self._used |= {key: value is not None for key, value in values.items()}
        self.cost.kept = len(self._before & self._used.keys())
        self.cost.unusable = sum(not usable for usable in self._used.values())
        return [values[key] for key in keys]

    async def _ask_all(
        self,
        missing: Mapping[str, Question],
        read: Callable[[str], object],
        progress: Progress,
    ) -> None:
        spec = self._spec
        client = PatientClient(
            ChatClient(
                spec.url, spec.model, spec.key, spec.timeout, "the model's server",
                longest_refusal=LONGEST_REFUSAL,
            ),
            spec.timeout, spec.patience, self._spent, worked=bool(self._answers),
        )  # fmt: skip
        places = asyncio.Semaphore(spec.in_flight)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = JudgmentFile(self._path)

        async def ask(key: str, question: Question) -> None:
            async with places:
                answer = await self._ask(client, key, question, read)
            self._answers[key] = answer
            file.append([asdict(answer)])
            progress.advance()

        try:
            async with asyncio.TaskGroup() as group:
                for key, question in missing.items():
                    group.create_task(ask(key, question))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self.cost.questions, self.cost.tokens = self._spent.questions, self._spent.tokens
            file.close()
            await client.aclose()

    async def _ask(
        self,
        client: PatientClient,
        key: str,
        question: Question,
        read: Callable[[str], object],
    ) -> KeptAnswer:
        """Ask until the answer can be used, a few times at most; "" for a refused question."""
        answer, tokens = "", 0
        for _ in range(_TRIES):
            try:
                completion = await client.ask(
                    question.messages, question.schema, question.max_tokens
                )
            except QuestionRefused:
                break
            answer, tokens = completion.text, tokens + completion.tokens
            if read(answer) is not None:
                break
        return KeptAnswer(key, answer, tokens)

    def _key(self, question: Question) -> str:
        parts = (self._spec.model, question.messages, question.schema)
        return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _read_answers(path: Path) -> dict[str, KeptAnswer]:
    """Return the answers of a file; a line that a kill cut off is dropped."""
    if not path.exists():
        return {}
    adapter = TypeAdapter(KeptAnswer)
    answers: dict[str, KeptAnswer] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            answer = adapter.validate_json(line)
        except ValidationError:
            raise BadDataset(
                f"{path}:{number}: is not an answer of a model; delete the file to ask again"
            ) from None
        answers[answer.key] = answer
    return answers
