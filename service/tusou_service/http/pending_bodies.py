"""Memory of unfinished request bodies, limited for all connections together."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tusou.core.errors import Overloaded

_MESSAGE = "Too many unfinished bodies at once."


@dataclass(eq=False, slots=True)
class PendingBody:
    """A body that is being received."""

    timeout: asyncio.Timeout  # for reading it
    size: int = 0


class PendingBodies:
    """Counts the bytes of unfinished bodies, and refuses the largest when they exceed the limit.

    Clients that hold back the end of large bodies displace each other, not small searches, which
    are never the largest.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._total = limit, 0
        self._bodies: set[PendingBody] = set()

    @contextmanager
    def receiving(self, timeout: asyncio.Timeout) -> Iterator[PendingBody]:
        """Count one body within the block, which runs under `timeout`.

        Raises Overloaded if the body is refused.
        """
        body = PendingBody(timeout)
        self._bodies.add(body)
        try:
            yield body
        except asyncio.CancelledError:
            if body not in self._bodies:
                raise Overloaded(_MESSAGE) from None
            raise
        finally:
            self._forget(body)

    def grow(self, body: PendingBody, count: int) -> None:
        """Count `count` more bytes of a body; Overloaded if it is refused, or was before."""
        if body not in self._bodies:  # its data arrived before its timeout ran
            raise Overloaded(_MESSAGE)
        body.size += count
        self._total += count
        while self._total > self._limit:
            largest = max(self._bodies, key=lambda other: other.size)
            self._forget(largest)
            if largest is body:
                raise Overloaded(_MESSAGE)
            largest.timeout.reschedule(asyncio.get_running_loop().time())

    def _forget(self, body: PendingBody) -> None:
        if body in self._bodies:
            self._bodies.remove(body)
            self._total -= body.size
