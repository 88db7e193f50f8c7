"""Calls between two processes of one service, over a private pair of sockets.

What crosses is pickled: both ends run the same code as the same user, the pair is made by the one
for the other and has no name that a third process could open. A frame is a length and a list of
messages: whatever is said within one turn of the event loop leaves as one. Moments cross as they
are: CLOCK_MONOTONIC is one clock for all processes of a machine.
"""

import asyncio
import itertools
import logging
import pickle
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from tusou.core.errors import NotReady, TusouError
from tusou_service.observability.stages import StageTiming, follow, followed

_log = logging.getLogger(__name__)

Answerer: TypeAlias = Callable[..., Awaitable[object]]

_LENGTH = struct.Struct("<I")
_UNANSWERED = 0  # the number of a call that wants no reply


class RemoteBug(Exception):
    """A bug on the other end of the line; its text is the traceback from there."""


class _Call(NamedTuple):
    number: int
    name: str
    arguments: tuple[object, ...]
    followed: bool  # whether somebody wants to know the stages


class _Cancel(NamedTuple):
    number: int


class _Reply(NamedTuple):
    number: int
    result: object
    stages: tuple[StageTiming, ...]


class _Failure(NamedTuple):
    number: int
    error: bytes  # pickled by itself: if it cannot be read, that is this call's misfortune alone
    stages: tuple[StageTiming, ...]


class Line(asyncio.Protocol):
    """One end of a line: calls what the other end answers, and answers what the other end calls.

    Three promises: every call gets its result or its error, NotReady when the other end is lost;
    a call that is cancelled here is cancelled there; an error of ours arrives as it was raised,
    and a bug as RemoteBug.
    """

    def __init__(self, answerers: Mapping[str, Answerer]) -> None:
        self.lost = asyncio.Event()
        self._answerers = answerers
        self._numbers = itertools.count(_UNANSWERED + 1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._unsent: list[NamedTuple] = []
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    async def open(self, end: socket.socket) -> None:
        """Speak and listen at one end of a connected pair."""
        end.settimeout(0)
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    async def call(self, name: str, *arguments: object) -> Any:
        """Have the other end answer."""
        if self.lost.is_set():
            raise NotReady("The service is stopping; send the request again.")
        number, stages = next(self._numbers), followed()
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._say(_Call(number, name, arguments, stages is not None))
        try:
            reply = await answer
        except asyncio.CancelledError:
            self._say(_Cancel(number))
            raise
        finally:
            del self._asked[number]
        if stages is not None:
            stages.extend(reply.stages)
        if isinstance(reply, _Failure):
            raise pickle.loads(reply.error)  # noqa: S301 - from our own other end
        return reply.result

    def tell(self, name: str, *arguments: object) -> None:
        """Call without waiting for anything."""
        self._say(_Call(_UNANSWERED, name, arguments, followed=False))

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Fail what waits for the other end, and drop what it waits for."""
        self.lost.set()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(NotReady("The service has failed and will restart."))
        for task in self._answering.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take whole frames from what has come so far."""
        self._received += data
        place = 0
        with memoryview(self._received) as received:
            while len(received) - place >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(received, place)
                end = place + _LENGTH.size + length
                if end > len(received):
                    break
                messages = pickle.loads(received[place + _LENGTH.size : end])  # noqa: S301 - as above
                place = end
                for message in messages:
                    self._hear(message)
        del self._received[:place]

    def _hear(self, message: NamedTuple) -> None:
        match message:
            case _Call():
                task = asyncio.create_task(self._answer(message))
                if message.number != _UNANSWERED:
                    self._answering[message.number] = task
            case _Cancel(number):
                if task_there := self._answering.get(number):
                    task_there.cancel()
            case _Reply() | _Failure():
                answer = self._asked.get(message.number)
                if answer and not answer.done():
                    answer.set_result(message)

    async def _answer(self, call: _Call) -> None:
        stages = follow() if call.followed else []
        try:
            result = await self._answerers[call.name](*call.arguments)
        except TusouError as error:
            self._fail(call, error, stages)
        except Exception as error:  # noqa: BLE001 - the caller logs it, with what it belongs to
            self._fail(call, RemoteBug("".join(traceback.format_exception(error))), stages)
        else:
            if call.number != _UNANSWERED:
                self._say(_Reply(call.number, result, tuple(stages)))
        finally:
            self._answering.pop(call.number, None)

    def _fail(self, call: _Call, error: Exception, stages: list[StageTiming]) -> None:
        if call.number == _UNANSWERED:
            _log.error("%s failed", call.name, exc_info=error)
        else:
            self._say(_Failure(call.number, pickle.dumps(error), tuple(stages)))

    def _say(self, message: NamedTuple) -> None:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(message)

    def _send(self) -> None:
        messages, self._unsent = self._unsent, []  # first: what comes next must not be stuck
        frame = pickle.dumps(messages, pickle.HIGHEST_PROTOCOL)
        if self._transport and not self._transport.is_closing():
            self._transport.write(_LENGTH.pack(len(frame)) + frame)
