"""Ask for the rows a replay still lacks: several batches in flight, written in order."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tusou.core.hits import Hits
from tusou_client.client import AsyncClient
from tusou_client.errors import BadQueries, ClientError, IndexChanged, PoolTooSmall, ServiceError
from tusou_client.journal import Journal
from tusou_client.query_file import QueryRow
from tusou_client.retry import RetryPolicy
from tusou_client.wire import DEFAULT_URL

# An index that is replaced more often than this during one run never lets it finish.
_MAX_RESTARTS = 5
_DATA_ERRORS = (400, 422)


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """Where to ask, and how hard; only `top_k` shapes the output."""

    url: str = DEFAULT_URL
    top_k: int = 10
    batch_size: int = 32
    in_flight: int = 4
    api_key: str | None = None
    patience: float = 300.0  # seconds to keep trying one batch, say while the service restarts

    def policy(self) -> RetryPolicy:
        """Never give a row up while there is time: no limit of tries, no budget."""
        return RetryPolicy(
            timeout=30.0, deadline=self.patience, tries=None, bad_replies=8, budget=None
        )


@dataclass(frozen=True, slots=True)
class ReplayListener:
    """Whom to tell while it runs: (rows done, rows in all), and messages for people."""

    progress: Callable[[int, int], None] | None = None
    notice: Callable[[str], None] | None = None

    def on_progress(self, done: int, total: int) -> None:
        """Tell how far it is."""
        if self.progress is not None:
            self.progress(done, total)

    def on_notice(self, message: str) -> None:
        """Tell what a person should know."""
        if self.notice is not None:
            self.notice(message)

    def on_retry(self, error: ClientError, _: float) -> None:
        """Tell why nothing moves."""
        self.on_notice(f"{error.code}: {error} Still trying.")


class _Moved(Exception):
    """The service answers from another index than the rows so far."""


class Filling:
    """One run over the rows; all that it writes comes from one index version."""

    def __init__(
        self,
        rows: list[QueryRow],
        journal: Journal,
        made_from: dict[str, object],
        settings: ReplaySettings,
        watcher: ReplayListener,
    ) -> None:
        self._rows, self._journal, self._made_from = rows, journal, made_from
        self._settings, self._watcher = settings, watcher

    async def run(self, version: str | None, done: int) -> str:
        """Ask for everything from row `done` on; return the index version of all rows."""
        settings = self._settings
        async with AsyncClient(settings.url, api_key=settings.api_key) as probe:
            await probe.info()  # a wrong address or key is told at once, not after `patience`
        for _ in range(_MAX_RESTARTS + 1):
            try:
                return await self._pass(version, done)
            except _Moved as moved:
                self._watcher.on_notice(f"{moved} Starting again from the first row.")
                version, done = None, 0
        raise IndexChanged(
            "The service changed its index again and again; replay once it has settled."
        )

    async def _pass(self, version: str | None, done: int) -> str:
        settings = self._settings
        self._version, self._next = version, done
        self._held: dict[int, list[bytes]] = {}
        self._refused: list[tuple[QueryRow, ServiceError]] = []
        self._watcher.on_progress(done, len(self._rows))
        starts = iter(range(done, len(self._rows), settings.batch_size))
        async with AsyncClient(
            settings.url,
            api_key=settings.api_key,
            policy=settings.policy(),
            on_retry=self._watcher.on_retry,
        ) as client:
            await self._share(client, starts)
        if self._refused:
            self._journal.discard()  # it belongs to a query file that has to be changed
            raise _refusals(self._refused)
        return str(self._version)

    async def _share(self, client: AsyncClient, starts: Iterator[int]) -> None:
        """Let `in_flight` workers share the batches; the first error stops them all."""
        workers = [
            asyncio.create_task(self._work(client, starts)) for _ in range(self._settings.in_flight)
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, client: AsyncClient, starts: Iterator[int]) -> None:
        for start in starts:
            batch = self._rows[start : start + self._settings.batch_size]
            answers = await self._ask(client, batch)
            if not self._refused:  # once a row is refused, the rest is only checked
                self._accept(start, batch, answers)

    async def _ask(self, client: AsyncClient, batch: list[QueryRow]) -> list[Hits]:
        try:
            return await client.search_batch([row.text for row in batch], self._settings.top_k)
        except ServiceError as error:
            if error.status not in _DATA_ERRORS or not await self._find_refused(client, batch):
                raise
        return []

    async def _find_refused(self, client: AsyncClient, batch: list[QueryRow]) -> bool:
        """Ask one by one which queries of a refused batch are at fault."""
        before = len(self._refused)
        for row in batch:
            try:
                await client.search(row.text, self._settings.top_k)
            except ServiceError as error:
                if error.status not in _DATA_ERRORS:
                    raise
                self._refused.append((row, error))
        return len(self._refused) > before

    def _accept(self, start: int, batch: list[QueryRow], answers: list[Hits]) -> None:
        self._check_version(answers[0].index_version)
        self._held[start] = [
            row.filled(self._exactly_k(row, hits)) for row, hits in zip(batch, answers, strict=True)
        ]
        while self._next in self._held:
            lines = self._held.pop(self._next)
            self._journal.append(lines)
            self._next += len(lines)
        self._watcher.on_progress(self._next, len(self._rows))

    def _check_version(self, version: str) -> None:
        if self._version is None:
            self._version = version
            self._journal.start(self._made_from | {"index_version": version})
        elif version != self._version:
            raise _Moved(
                f"The service now serves index {version}; the rows so far came from "
                f"{self._version}, and one file must not mix two."
            )

    def _exactly_k(self, row: QueryRow, hits: Hits) -> tuple[int | str, ...]:
        found, wanted = len(hits.item_ids), self._settings.top_k
        if found < wanted:
            raise PoolTooSmall(
                f"The service has only {found} items for the query of line {row.line}, and each "
                f"row needs {wanted}. Serve a larger pool, or give --top-k {max(found, 1)}."
            )
        return hits.item_ids


def _refusals(refused: list[tuple[QueryRow, ServiceError]]) -> BadQueries:
    ordered = sorted(refused, key=lambda pair: pair[0].line)
    listed = "\n  ".join(f"line {row.line}: {error.code}: {error.detail}" for row, error in ordered)
    return BadQueries(
        f"The service refused {len(ordered)} queries; mend these lines and run again.\n  {listed}"
    )
