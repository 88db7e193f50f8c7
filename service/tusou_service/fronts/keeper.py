"""The fronts of one engine: started, replaced when they die, told and asked together."""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

from tusou.core.errors import NotReady, Unavailable
from tusou_service.engine.engine import Engine
from tusou_service.fronts.doors import Accepter
from tusou_service.fronts.front import Setup
from tusou_service.fronts.line import Answerer, Line
from tusou_service.observability.traffic import Families, Sum

_log = logging.getLogger(__name__)

# So many fronts may be lost in so many seconds; whatever ends more of them will not go away.
_MAX_LOST, _LOST_WITHIN = 10, 60.0
# What a front has counted since it was last asked is lost with it.
_ASK_SECONDS = 1.0
# A front that says nothing for so long never will.
_SILENT_SECONDS = 30.0
# From the end of its requests to the end of a front: traces are sent, the interpreter ends.
_LEAVE_SECONDS = 5.0


class FrontsLost(Unavailable):
    """The processes that speak HTTP end as fast as they are started."""

    code = "fronts_lost"


@dataclass(eq=False, slots=True)
class _Front:
    """One front; `families` is what it had counted when it was last asked."""

    process: "subprocess.Popen[bytes]"
    line: Line
    end: socket.socket  # the line's
    door: socket.socket
    families: Families = field(default_factory=list)

    def close(self) -> None:
        """End it now, if it runs."""
        self.process.kill()
        self.process.wait()
        self.line.close()
        self.door.close()


class Fronts:
    """So many processes that speak HTTP, while the block lasts.

    Connections go to them in turn. One that dies is replaced; its requests are lost with it, what
    it had counted is not.
    """

    def __init__(
        self,
        setup: Setup,
        listener: socket.socket,
        engines: Sequence[Engine],
        answers: Mapping[str, Answerer],
    ) -> None:
        self.failure: Exception | None = None
        self._setup, self._engines = setup, engines
        self._accepter = Accepter(listener, lambda: [front.door for front in self._fronts])
        self._answers = {**answers, "setup": self._tell_setup, "expose": self.expose}
        self._fronts: list[_Front] = []
        self._gone: Families = []
        self._lost_at: deque[float] = deque(maxlen=_MAX_LOST)
        self._pressed = {engine.arm: engine.pressure for engine in engines}
        self._stopping: float | None = None  # seconds that requests in flight have
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        count = self._setup.settings.http_processes
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(count)]
        for keeper in self._keepers:
            keeper.add_done_callback(self._give_up)
        return self

    async def __aexit__(self, *_: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.wait(self._keepers)

    def press(self) -> None:
        """Tell the fronts what stands before one more search, when that has changed."""
        pressed = {engine.arm: engine.pressure for engine in self._engines}
        if pressed != self._pressed:
            self._pressed = pressed
            for front in self._fronts:
                front.line.tell("press", pressed)

    async def expose(self) -> bytes:
        """Return what the engine and all fronts count, those that are gone included."""
        await asyncio.gather(*(self._ask(front, _ASK_SECONDS) for front in self._fronts))
        counted = [self._gone, *(front.families for front in self._fronts)]
        return self._engines[0].metrics.expose(counted)

    async def stop(self, seconds: float) -> None:
        """Close the port, let requests in flight finish for so long, and see the fronts leave."""
        self._stopping = seconds
        self._accepter.close()
        for front in self._fronts:
            front.line.tell("stop", seconds)
        await asyncio.wait(self._keepers, timeout=seconds + _LEAVE_SECONDS)

    async def _keep(self) -> None:
        """Have one front run, always."""
        while self._stopping is None and not self.failure:
            front = self._start()
            try:
                await front.line.open(front.end)
                while await self._ask(front, _SILENT_SECONDS):
                    self._join(front)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(front.line.lost.wait(), _ASK_SECONDS)
                await self._bury(front)
            finally:
                front.close()

    def _join(self, front: _Front) -> None:
        """Let connections come to a front that has started."""
        if front in self._fronts:
            return
        self._fronts.append(front)
        front.line.tell("press", self._pressed)
        if self._stopping is None:
            self._accepter.open()
        else:
            front.line.tell("stop", self._stopping)

    def _start(self) -> _Front:
        (end, theirs), (door, out) = socket.socketpair(), socket.socketpair()
        with contextlib.ExitStack() as ours, theirs, out:
            ours.callback(end.close)
            ours.callback(door.close)
            given = (theirs.fileno(), out.fileno())
            process = subprocess.Popen(  # noqa: S603 - milliseconds, and rarely
                [sys.executable, "-m", "tusou_service.fronts.front", *map(str, given)],
                stdin=subprocess.DEVNULL,
                pass_fds=given,
                process_group=0,  # what is typed at a terminal reaches the parent alone
            )
            ours.pop_all()
        _log.info("front", extra={"fields": {"pid": process.pid}})
        door.settimeout(0)
        return _Front(process, Line(self._answers), end, door)

    async def _ask(self, front: _Front, seconds: float) -> bool:
        """Have a front say what it has counted; tell whether it did."""
        try:
            async with asyncio.timeout(seconds):
                front.families = await front.line.call("traffic")
        except (TimeoutError, NotReady):
            return False
        return True

    async def _bury(self, front: _Front) -> None:
        if front in self._fronts:
            self._fronts.remove(front)
        if not self._fronts:
            self._accepter.shut()
        self._gone = list(Sum([self._gone, front.families]).collect())
        if not front.line.lost.is_set():
            front.process.kill()
        try:
            code = await asyncio.to_thread(front.process.wait, _LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            front.process.kill()
            code = front.process.wait()
        if self._stopping is not None:
            return
        _log.warning("front lost", extra={"fields": {"pid": front.process.pid, "exit_code": code}})
        self._lost_at.append(monotonic())
        if len(self._lost_at) == _MAX_LOST and monotonic() - self._lost_at[0] < _LOST_WITHIN:
            self.failure = FrontsLost("The processes that speak HTTP end as soon as they start.")

    def _give_up(self, keeper: asyncio.Task[None]) -> None:
        """Have the service end with what ended a keeper: no process can be started, or a bug."""
        if not keeper.cancelled() and (error := keeper.exception()):
            assert isinstance(error, Exception)
            self.failure = self.failure or error

    async def _tell_setup(self) -> Setup:
        return self._setup
