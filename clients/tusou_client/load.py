"""Open-loop load: sends queries at a fixed rate, however slow the replies are."""

import asyncio
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tusou_client.async_client import AsyncClient
from tusou_client.errors import ClientError, LoadLimit, ServiceError
from tusou_client.retry import RetryPolicy
from tusou_client.wire import DEFAULT_URL

OK = "ok"


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """The rate and the requests of a load run."""

    rate: float  # queries per second
    duration: float  # seconds
    url: str = DEFAULT_URL
    timeout: float = 2.0  # seconds; sent to the service, and the limit of a good reply
    top_k: int = 10
    api_key: str | None = None
    interpret: bool = True  # subtract what a query refuses


@dataclass(frozen=True, slots=True)
class Sample:
    """The outcome of one query; seconds count from the moment it was due, not when it was sent."""

    code: str  # `ok`, or the error's code
    status: int | None  # None: no HTTP response
    latency: float
    lateness: float  # seconds between due and sent: the load generator's own delay


@dataclass(frozen=True, slots=True)
class Outcome:
    """All queries with the same code and status. Times in milliseconds."""

    code: str
    status: int | None
    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The result of a load run."""

    sent: int
    duration_s: float
    goodput_per_s: float  # right and within the timeout, per second of the schedule
    max_lateness_ms: float  # if large, the load generator could not keep the rate
    outcomes: tuple[Outcome, ...]  # the most frequent first


def run_load(
    queries: Sequence[str],
    settings: LoadSettings,
    on_sent: Callable[[int, int], None] | None = None,
) -> LoadReport:
    """Send the queries in turn, over and over, without retries, which would hide the load.

    `on_sent` is called with the number of queries sent, and of all. Raises LoadLimit as soon as
    this process sends so late that a reply in time would count as too slow.
    """
    samples = asyncio.run(_send_all(queries, settings, on_sent))
    return summarise(samples, settings)


async def _send_all(
    queries: Sequence[str], settings: LoadSettings, on_sent: Callable[[int, int], None] | None
) -> list[Sample]:
    once = RetryPolicy(timeout=settings.timeout, deadline=settings.timeout, tries=1)
    total = max(1, round(settings.rate * settings.duration))
    async with AsyncClient(settings.url, api_key=settings.api_key, policy=once) as client:
        await client.info()  # a wrong address is one error, not a report full of them
        tasks: list[asyncio.Task[Sample]] = []
        start = time.monotonic()
        for number, query in zip(range(total), itertools.cycle(queries), strict=False):
            due = start + number / settings.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - due > settings.timeout:
                for task in tasks:
                    task.cancel()
                raise _limit(number, total, time.monotonic() - start)
            tasks.append(asyncio.create_task(_send_one(client, query, settings, due)))
            if on_sent is not None:
                on_sent(number + 1, total)
        return await asyncio.gather(*tasks)


def _limit(sent: int, total: int, seconds: float) -> LoadLimit:
    return LoadLimit(
        f"This process is the limit, not the service: it could send only {sent / seconds:.0f} "
        f"queries a second, and stopped after {sent} of {total}. Lower --rate, or share the load "
        "among several processes or machines."
    )


async def _send_one(client: AsyncClient, query: str, settings: LoadSettings, due: float) -> Sample:
    lateness = time.monotonic() - due
    code, status = OK, 200
    try:
        await client.search(query, settings.top_k, interpret=settings.interpret)
    except ServiceError as error:
        code, status = error.code, error.status
    except ClientError as error:
        return Sample(error.code, None, time.monotonic() - due, lateness)
    return Sample(code, status, time.monotonic() - due, lateness)


def summarise(samples: Sequence[Sample], settings: LoadSettings) -> LoadReport:
    """Group the samples by code and status."""
    groups: dict[tuple[str, int | None], list[float]] = defaultdict(list)
    for sample in samples:
        groups[sample.code, sample.status].append(sample.latency)
    good = sum(sample.code == OK and sample.latency <= settings.timeout for sample in samples)
    outcomes = [_outcome(code, status, times) for (code, status), times in groups.items()]
    return LoadReport(
        sent=len(samples),
        duration_s=settings.duration,
        goodput_per_s=round(good / settings.duration, 3),
        max_lateness_ms=_ms(max(sample.lateness for sample in samples)),
        outcomes=tuple(sorted(outcomes, key=lambda outcome: -outcome.count)),
    )


def _outcome(code: str, status: int | None, times: list[float]) -> Outcome:
    times.sort()
    p50, p90, p99 = (_ms(percentile(times, share)) for share in (0.50, 0.90, 0.99))
    return Outcome(code, status, len(times), p50, p90, p99, _ms(times[-1]))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ascending values, without interpolation."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
