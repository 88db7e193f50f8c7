"""A vision language model, behind an endpoint, that grades the first items of a ranking."""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from time import monotonic
from typing import Self, TypeAlias

from tusou.attributes.schema import Attributes
from tusou.bundle.content import content_digest
from tusou.bundle.stages import RerankRecord
from tusou.core.errors import BadImage, DeadlineExceeded, IncompatibleBundle, TusouError
from tusou.core.key_file import read_key_lines
from tusou.stages.base import CandidateItems, RerankTask, ScoredPart, StageContext
from tusou.stages.endpoint_cache import KEY_BYTES, GradeCache
from tusou.stages.endpoint_cache_file import GRADE_FILE, GradeFile
from tusou.stages.endpoint_client import ChatClient
from tusou.stages.endpoint_grades import parse_grades
from tusou.stages.endpoint_image import ImageCache
from tusou.stages.endpoint_prompt import (
    ShownCandidate,
    answer_schema,
    answer_tokens,
    build_messages,
    prompt_digest,
)
from tusou.stages.endpoint_spec import EndpointSpec
from tusou.stages.loop_thread import LoopThread

_CACHE_BYTES, _IMAGE_BYTES = 32 * 2**20, 64 * 2**20
# Preparing an image is work for a processor, which other searches need as well.
_IMAGE_THREADS = 2
# Answers later than a shorter time limit do not mean that the endpoint is away.
_PATIENCE = 1.0
_QUESTION_SECONDS = 120.0  # of one question, where a search has no deadline


@dataclass(frozen=True, slots=True)
class _Candidate:
    position: int  # in the ranking
    key: bytes  # in the cache
    image: bytes
    digest: bytes  # of the image
    fields: Attributes


_Graded: TypeAlias = list[tuple[_Candidate, float]]


class EndpointReranker:
    """Asks for grades of the candidates that the cache does not know, in several questions at once.

    A candidate without a usable grade has no score: its image cannot be read, or the answer is
    late, cut off or wrong. Only where no question was answered is that an error.
    """

    def __init__(
        self,
        spec: EndpointSpec,
        *,
        depth: int,
        seconds: float,
        weight: float,
        key: str | None = None,
        cache: GradeCache | None = None,
    ) -> None:
        self.depth, self.seconds, self.weight = depth, seconds, weight
        # More calls would only read images for questions that find no place.
        self.threads = spec.connections
        self._spec = spec
        self._cache = GradeCache(_CACHE_BYTES) if cache is None else cache
        self._cache_seed = f"{spec.model}\0{prompt_digest(spec.mode)}\0{spec.image_side}".encode()
        self._client = ChatClient(spec.url, spec.model, key, max(seconds / 2, _PATIENCE))
        self._images = ImageCache(spec.image_side, _IMAGE_BYTES)
        self._image_threads = ThreadPoolExecutor(_IMAGE_THREADS, "rerank-image")
        self._slots = asyncio.Semaphore(spec.connections)
        self._thread = LoopThread("rerank-endpoint", self._client.aclose)

    @classmethod
    def open(cls, context: StageContext, record: RerankRecord) -> Self:
        """Prepare the client; asks nothing yet. CorruptBundle, IncompatibleBundle, InputError."""
        if context.bundle.items != "images":
            raise IncompatibleBundle("a vision language model reranks images, and items are texts")
        access = context.endpoint
        keys = read_key_lines(access.key_file) if access.key_file else []
        file = GradeFile(access.cache_folder / GRADE_FILE) if access.cache_folder else None
        return cls(
            EndpointSpec.of_record(record, access),
            depth=record.depth,
            seconds=record.deadline_ms / 1000,
            weight=record.weight,
            key=keys[0].key if keys else None,
            cache=GradeCache(_CACHE_BYTES, file),
        )

    def warm_up(self) -> None:
        """Do nothing: an endpoint that is away must not keep a service from starting."""

    def close(self) -> None:
        """End the questions in flight, and close connections and cache."""
        self._thread.close()
        self._image_threads.shutdown()
        self._cache.close()

    def score(self, task: RerankTask, deadline: float) -> Iterator[ScoredPart]:
        """Yield grades from 0 to 1: first those that are cached, then each question's.

        A query without a text is not asked about. Raises Unavailable if every question failed.
        """
        if not task.texts:
            return
        candidates = self._candidates(task, deadline)
        known = self._cache.get([each.key for each in candidates])
        cached = [each for each in candidates if each.key in known]
        if cached:
            yield [each.position for each in cached], [known[each.key] for each in cached]
        uncached = [each for each in candidates if each.key not in known]
        yield from self._ask(task.texts, uncached, deadline, failing=not cached)

    def _ask(
        self,
        texts: Sequence[str],
        candidates: Sequence[_Candidate],
        deadline: float,
        *,
        failing: bool,
    ) -> Iterator[ScoredPart]:
        size = 1 if self._spec.mode == "pointwise" else self._spec.group_size
        groups = [candidates[start : start + size] for start in range(0, len(candidates), size)]
        whole = len(groups) == 1
        futures = [
            self._thread.submit(self._grade(texts, group, deadline, whole=whole))
            for group in groups
        ]
        errors: list[TusouError] = []
        try:
            for graded in _completed(futures, deadline, errors):
                if graded:
                    self._cache.put({each.key: grade for each, grade in graded})
                    yield [each.position for each, _ in graded], [grade for _, grade in graded]
                failing = False
        finally:
            for future in futures:
                future.cancel()
        if errors and failing:
            raise errors[0]

    async def _grade(
        self, texts: Sequence[str], group: Sequence[_Candidate], deadline: float, *, whole: bool
    ) -> _Graded:
        """Ask one question; the candidates without a usable grade are left out."""
        async with self._slots:
            deadline = min(deadline, monotonic() + _QUESTION_SECONDS)
            loop = asyncio.get_running_loop()
            shown = await loop.run_in_executor(self._image_threads, self._show, group, deadline)
            if not shown:
                return []
            mode = self._spec.mode
            completion = await self._client.complete(
                build_messages(texts, [each for _, each in shown], mode),
                answer_schema(mode),
                answer_tokens(len(shown)),
                deadline,
            )
        whole_list = whole and len(shown) == len(group)
        grades = parse_grades(completion.text, len(shown), whole_list=whole_list)
        return [(shown[number][0], grade) for number, grade in grades.items()]

    def _show(
        self, group: Sequence[_Candidate], deadline: float
    ) -> list[tuple[_Candidate, ShownCandidate]]:
        """Prepare the images, in an order that tells nothing about the ranking."""
        shown = []
        for each in sorted(group, key=lambda candidate: candidate.key):
            if monotonic() >= deadline:
                return []
            with suppress(BadImage):
                image = self._images.uri(each.digest, each.image)
                shown.append((each, ShownCandidate(image, each.fields)))
        return shown

    def _candidates(self, task: RerankTask, deadline: float) -> list[_Candidate]:
        """Read the images and attributes of the candidates, as far as that is possible in time."""
        items = task.items
        seed = blake2b(self._cache_seed + _as_json(task.texts), digest_size=KEY_BYTES)
        candidates = []
        for position, key in enumerate(task.keys):
            if monotonic() >= deadline:
                break
            with suppress(TusouError, OSError):  # such as a source that is no longer there
                image, _ = items.image(str(items.id_at(key)))
                fields = self._fields(items, key)
                digest = content_digest(image)
                hashed = seed.copy()
                hashed.update(digest + _as_json(fields))
                candidates.append(_Candidate(position, hashed.digest(), image, digest, fields))
        return candidates

    def _fields(self, items: CandidateItems, key: int) -> Attributes:
        if not self._spec.fields:
            return {}
        (fields,) = items.attribute_rows([key], self._spec.fields)
        return fields


def _completed(
    futures: Sequence[Future[_Graded]], deadline: float, errors: list[TusouError]
) -> Iterator[_Graded]:
    """Yield results in the order in which they come, until the deadline; collect errors."""
    seconds = None if math.isinf(deadline) else max(0.0, deadline - monotonic())
    try:
        for future in as_completed(futures, seconds):
            try:
                graded = future.result()
            except DeadlineExceeded:
                continue
            except TusouError as error:
                errors.append(error)
                continue
            yield graded
    except TimeoutError:
        return


def _as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode(errors="surrogatepass")
