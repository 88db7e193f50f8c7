"""A real server process around a tiny pipeline.

The queries "slow", "hang", "lost" and "bug" do what they say. The argument is a mood: "corrupt",
"mismatch" and "bug" fail to open, "loading" never ends to, "loads-slowly" takes a second;
"source-hangs" never reads an image; "flips" has a new version at each look, and "follows" the
version in a file CURRENT.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tusou_service import logging_config, server, supervisor
from tusou_service.engine.interfaces import Pipeline
from tusou_service.http.auth import ApiKeys
from tusou_service.server import ServiceParts
from tusou_service.settings import Settings

from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, make_parts
from tusou.core.errors import CorruptBundle, IncompatibleBundle
from tusou.retrieval.query import Query
from tusou.retrieval.results import RetrievedBatch

ERRORS = {
    "corrupt": CorruptBundle("vectors.npy differs"),
    "mismatch": IncompatibleBundle("made with other weights"),
    "bug": ZeroDivisionError("a bug"),
}


class HangingBundle(TinyBundle):
    """A bundle whose source lies on a file system that gives no answer."""

    def image(self, item_id: str) -> tuple[bytes, str]:
        threading.Event().wait()
        return super().image(item_id)


class Moody(TinyPipeline):
    def retrieve(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool]
    ) -> RetrievedBatch:
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
        return super().retrieve(queries, still_waiting)


class Flipping(TinySource):
    """Opens a new version each time; the ids of version n start at 1000 n."""

    def current_version(self) -> str:
        return f"v{self.opened + 1}"

    def open(self) -> Pipeline:
        self.opened += 1
        return Moody(TinyBundle(f"v{self.opened}"), first_id=1000 * self.opened)


class Slow(TinySource):
    """Takes a second to load."""

    def open(self) -> Pipeline:
        time.sleep(1)
        return super().open()


class Following(TinySource):
    """Opens the version that a file CURRENT names: "v2" has the items from 2000 on; "bad" fails."""

    def __init__(self, root: Path) -> None:
        super().__init__(Moody(TinyBundle("v1")))
        self._root = root

    def current_version(self) -> str:
        return (self._root / "CURRENT").read_text().strip()

    def open(self) -> Pipeline:
        version = self.current_version()
        if version == "bad":
            raise CorruptBundle("vectors.npy differs")
        return Moody(TinyBundle(version), first_id=1000 * int(version[1:]))


def make_mood_parts(settings: Settings, mood: str) -> ServiceParts:
    """Build the parts of one server process."""
    keys = ApiKeys.read(settings.api_keys) if settings.api_keys else None
    source = TinySource(Moody(TinyBundle("v1")), error=ERRORS.get(mood))
    if mood == "loading":
        source.gate = threading.Event()
    if mood == "source-hangs":
        source = TinySource(Moody(HangingBundle("v1")))
    if mood == "loads-slowly":
        source = Slow(source.pipeline)
    if mood == "flips":
        source = Flipping(source.pipeline)
    if mood == "follows":
        assert settings.bundle
        source = Following(settings.bundle)
    other = TinySource(Moody(TinyBundle("v2"))) if settings.ab_bundle else None
    return make_parts(settings, source, other, keys)


def main() -> None:
    """Serve with the settings of the environment."""
    settings = Settings()
    logging_config.configure(settings.log_level, settings.log_format)
    code = supervisor.run(settings, partial(make_mood_parts, mood=sys.argv[1]))
    server.leave(code)


if __name__ == "__main__":
    main()
