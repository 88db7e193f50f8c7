"""Stops a training between two steps, so that its state can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingStopped(Exception):
    """A signal ended the training, and its state is saved."""

    def __init__(self, message: str, number: signal.Signals) -> None:
        super().__init__(message)
        self.signal_number = number


@dataclass(slots=True)
class StopRequest:
    """The signal that requested the end; None until then."""

    number: signal.Signals | None = None


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
        request.number = signal.Signals(number)
        restore()

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        yield request
    finally:
        restore()
