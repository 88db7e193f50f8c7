"""A process that serves a tiny pipeline: what it finds is invented, how it lives and dies is real.

Queries named "slow", "hang", "lost" and "bug" behave so; opening fails, or never ends, when the
command line says so. "flips" is a bundle of which every look finds a new version.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence

from tusou_service import logging_config as logs
from tusou_service import server
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.served import Pipeline
from tusou_service.http.auth import ApiKeys
from tusou_service.settings import Settings

from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, second_arm
from tusou.core.errors import CorruptBundle, IncompatibleBundle
from tusou.retrieval.query import Query
from tusou.retrieval.results import SearchResults

ERRORS = {
    "corrupt": CorruptBundle("vectors.npy differs"),
    "mismatch": IncompatibleBundle("made with other weights"),
    "bug": ZeroDivisionError("a bug"),
}


class Moody(TinyPipeline):
    def search(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool]
    ) -> SearchResults:
        texts = [text for query in queries for text in query.texts]
        if "slow" in texts:
            time.sleep(0.6)
        if "hang" in texts:
            logging.getLogger(__name__).info("hanging")
            threading.Event().wait()
        if "lost" in texts:
            raise RuntimeError("CUDA error: device-side assert triggered")
        if "bug" in texts:
            raise ZeroDivisionError("a bug")
        return super().search(queries, still_waiting)


class Flipping(TinySource):
    """Each version's items begin at a thousand times its number."""

    def current_version(self) -> str:
        return f"v{self.opened + 1}"

    def open(self) -> Pipeline:
        self.opened += 1
        return Moody(TinyBundle(f"v{self.opened}"), first_id=1000 * self.opened)


def main() -> None:
    """Serve with the settings of the environment."""
    settings = Settings()
    logs.configure(settings.log_level)
    keys = ApiKeys.read(settings.api_keys) if settings.api_keys else None
    source = TinySource(Moody(TinyBundle("v1")), error=ERRORS.get(sys.argv[1]))
    if sys.argv[1] == "loading":
        source.gate = threading.Event()
    if sys.argv[1] == "flips":
        source = Flipping(source.pipeline)
    engine = SearchEngine(source, settings.batching())
    other = TinySource(Moody(TinyBundle("v2")))
    experiment = second_arm(other, engine, settings) if settings.ab_bundle else None
    server.leave(server.serve(settings, engine, keys, experiment=experiment))


if __name__ == "__main__":
    main()
