"""Searches for the rows that a replay still lacks: several batches in flight, written in order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from tusou.core.hits import Hits
from tusou.core.problems import list_problems
from tusou_client.async_client import AsyncClient
from tusou_client.errors import BadQueries, ClientError, IndexChanged, PoolTooSmall, ServiceError
from tusou_client.journal import Journal
from tusou_client.query_file import QueryRow
from tusou_client.retry import RetryPolicy
from tusou_client.wire import DEFAULT_URL, BatchOptions, QueryEncoder, max_queries

# An index that is replaced more often than this during one run never lets it finish.
_MAX_RESTARTS = 5
_DATA_ERRORS = (400, 422)


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """The service and the load on it; the output depends on the last fields, and `top_k`."""

    url: str = DEFAULT_URL
    top_k: int = 10
    batch_size: int = 32
    in_flight: int = 4
    api_key: str | None = None
    patience: float = 300.0  # seconds to retry one batch, for example while the service restarts
    interpret: bool = True  # subtract what a query refuses
    filter: Mapping[str, object] | None = None  # over attributes, as in the HTTP API
    query_encoder: QueryEncoder | None = None  # of a service that has both

    @property
    def options(self) -> BatchOptions:
        """The options of every search."""
        options: BatchOptions = {"interpret": self.interpret}
        if self.filter is not None:
            options["filter"] = self.filter
        return options

    @property
    def request_size(self) -> int:
        """The queries of one request: `batch_size`, or fewer if the service takes fewer."""
        return min(self.batch_size, max_queries(self.top_k))


@dataclass(frozen=True, slots=True)
class ReplayListener:
    """Callbacks of a replay: (finished rows, all rows), and messages for people."""

    progress: Callable[[int, int], None] = lambda *_: None
    notice: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """The index and the query encoder that all rows of one file come from."""

    index_version: str
    encoder: str  # "model", or the digest of the student


class _IndexReplaced(Exception):
    """The service answers from another index, or encodes otherwise, than for the rows so far."""


class ReplayWorker:
    """One run over the rows; all that it writes comes from one index version and one encoder."""

    def __init__(
        self,
        rows: list[QueryRow],
        journal: Journal,
        identity: dict[str, object],
        settings: ReplaySettings,
        listener: ReplayListener,
    ) -> None:
        self._rows, self._journal, self._identity = rows, journal, identity
        self._settings, self._listener = settings, listener
        self.not_reranked = 0  # rows whose reranking was cut off or failed
        self.unknown_language = 0  # rows in a language that the model does not know

    async def run(self, origin: RowOrigin | None, done: int) -> RowOrigin:
        """Search for all rows from number `done` on; return the origin of all rows."""
        for _ in range(_MAX_RESTARTS + 1):
            try:
                return await self._run_once(origin, done)
            except _IndexReplaced as error:
                self._listener.notice(f"{error} Starting again from the first row.")
                origin, done = None, 0
        raise IndexChanged(
            "The service changed its index again and again; replay once it has settled."
        )

    async def _run_once(self, origin: RowOrigin | None, done: int) -> RowOrigin:
        settings = self._settings
        self._origin, self._done = origin, done
        self._refused: list[tuple[QueryRow, ServiceError]] = []
        self.not_reranked = self.unknown_language = 0
        self._listener.progress(done, len(self._rows))
        # Retry each batch until `patience` runs out.
        policy = RetryPolicy(
            timeout=30.0, deadline=settings.patience, tries=None, bad_replies=8, budget=None
        )
        async with AsyncClient(
            settings.url,
            api_key=settings.api_key,
            query_encoder=settings.query_encoder,
            policy=policy,
            on_retry=self._report_retry,
        ) as client:
            # Waits once for a service that is starting; a wrong key fails here.
            self._encoder = _name_encoder(await client.info())
            self._check_encoder(origin)
            await self._search_all(client)
            self._encoder = _name_encoder(await client.info())
            self._check_encoder(self._origin)
        if self._refused:
            self._journal.discard()  # its query file has to be changed
            raise _refused_queries(self._refused)
        assert self._origin is not None  # of the last batch
        return self._origin

    def _report_retry(self, error: ClientError, _: float) -> None:
        self._listener.notice(f"{error.code}: {error} Still trying.")

    async def _search_all(self, client: AsyncClient) -> None:
        """Search for all batches, `in_flight` at once; the first error in their order stops all."""
        size = self._settings.request_size
        starts = range(self._done, len(self._rows), size)
        batches = [self._rows[start : start + size] for start in starts]
        slots = asyncio.Semaphore(self._settings.in_flight)
        tasks = [asyncio.create_task(self._search(client, slots, batch)) for batch in batches]
        try:
            for batch, task in zip(batches, tasks, strict=True):
                results = await task
                if not self._refused:  # once a row is refused, the rest is only checked
                    self._accept(batch, results)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _search(
        self, client: AsyncClient, slots: asyncio.Semaphore, batch: list[QueryRow]
    ) -> list[Hits]:
        settings = self._settings
        async with slots:
            try:
                return await client.search_batch(
                    [row.text for row in batch], settings.top_k, **settings.options
                )
            except ServiceError as error:
                if error.status not in _DATA_ERRORS or not await self._find_refused(client, batch):
                    raise
        return []

    async def _find_refused(self, client: AsyncClient, batch: list[QueryRow]) -> bool:
        """Search one by one for the queries of a refused batch that are at fault."""
        settings, before = self._settings, len(self._refused)
        for row in batch:
            try:
                await client.search(row.text, settings.top_k, **settings.options)
            except ServiceError as error:
                if error.status not in _DATA_ERRORS:
                    raise
                self._refused.append((row, error))
        return len(self._refused) > before

    def _accept(self, batch: list[QueryRow], results: list[Hits]) -> None:
        version = results[0].index_version
        if self._origin is None:
            self._origin = RowOrigin(version, self._encoder)
            self._journal.start(self._identity | asdict(self._origin))
        elif version != self._origin.index_version:
            raise _IndexReplaced(
                f"The service now serves index {version}; the rows so far came from "
                f"{self._origin.index_version}, and one file must not mix two."
            )
        self._journal.append(
            row.format(self._exactly_k(row, hits)) for row, hits in zip(batch, results, strict=True)
        )
        self.not_reranked += sum(hits.rerank in ("partial", "failed") for hits in results)
        self.unknown_language += sum(hits.is_unknown_language for hits in results)
        self._done += len(batch)
        self._listener.progress(self._done, len(self._rows))

    def _check_encoder(self, origin: RowOrigin | None) -> None:
        """Raise _IndexReplaced if the service was started again with another query encoder."""
        if origin is not None and self._encoder != origin.encoder:
            raise _IndexReplaced(
                "The service now encodes queries with another model or student than for the rows "
                "so far, and one file must not mix two."
            )

    @property
    def _or_filter(self) -> str:
        return ", filter less" if self._settings.filter is not None else ""

    def _exactly_k(self, row: QueryRow, hits: Hits) -> tuple[int | str, ...]:
        top_k = self._settings.top_k
        if len(hits) < top_k:
            raise PoolTooSmall(
                f"The service has only {len(hits)} items for the query of line {row.line}, and "
                f"each row needs {top_k}. Serve a larger pool"
                f"{self._or_filter}, or give --top-k {max(len(hits), 1)}."
            )
        return hits.item_ids


def _name_encoder(info: Mapping[str, object]) -> str:
    student = info.get("query_encoder")
    return str(student.get("sha256")) if isinstance(student, dict) else "model"


def _refused_queries(refused: list[tuple[QueryRow, ServiceError]]) -> BadQueries:
    ordered = sorted(refused, key=lambda pair: pair[0].line)
    lines = [f"line {row.line}: {error.code}: {error.detail}" for row, error in ordered]
    return BadQueries(
        f"The service refused {len(ordered)} queries; correct these lines and run again."
        f"{list_problems(lines)}"
    )
