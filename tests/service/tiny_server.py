"""A process that serves a tiny pipeline: what it finds is invented, how it lives and dies is real.

Queries named "slow", "hang" and "lost" behave so; opening fails, or never ends, when the
command line says so.
"""

import sys
import threading
import time
from collections.abc import Sequence

from service import logs, server
from service.engine import Engine
from service.keys import ApiKeys
from service.settings import Settings
from tests.service.tiny import TinyBundle, TinyPipeline, TinySource
from tusou.answers import Answers
from tusou.asks import Ask
from tusou.errors import CorruptBundle, IncompatibleBundle

ERRORS = {
    "corrupt": CorruptBundle("vectors.npy differs"),
    "mismatch": IncompatibleBundle("made with other weights"),
    "bug": ZeroDivisionError("a bug"),
}


class Moody(TinyPipeline):
    def answer(self, asks: Sequence[Ask]) -> Answers:
        queries = [text for ask in asks for text in ask.texts]
        if "slow" in queries:
            time.sleep(0.6)
        if "hang" in queries:
            threading.Event().wait()
        if "lost" in queries:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return super().answer(asks)


def main() -> None:
    """Serve with the settings of the environment."""
    settings = Settings()
    logs.configure(settings.log_level)
    keys = ApiKeys.read(settings.api_keys) if settings.api_keys else None
    source = TinySource(Moody(TinyBundle("v1")), error=ERRORS.get(sys.argv[1]))
    if sys.argv[1] == "loading":
        source.gate = threading.Event()
    server.leave(server.serve(settings, Engine(source, settings.batching()), keys))


if __name__ == "__main__":
    main()
