"""Stops a training at a step instead of in the midst of one, so that its state can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tusou.core.errors import TusouError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(TusouError):
    """The work was stopped by a signal, and what is done is saved."""

    code = "interrupted"


@dataclass(slots=True)
class StopRequest:
    """The signal that asked for the end; None as long as none has."""

    signal_name: str | None = None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Record the first Ctrl-C or SIGTERM of the block; a second one acts at once, as usual.

    Only the main thread can handle signals; in other threads nothing is changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, _: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name
        restore()

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        yield request
    finally:
        restore()
