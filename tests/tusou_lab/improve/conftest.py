"""Judged queries of which it is known what feedback does to them."""

from pathlib import Path

import pytest

from tests.tusou_lab.improve.planted import Effects, WriteAnswers, plant, rank_all
from tusou.bundle.revise import revise
from tusou.bundle.stages import FeedbackRecord

FEEDBACK = FeedbackRecord(items=10, weight=0.5)


@pytest.fixture(scope="session")
def write_answers(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> WriteAnswers:
    """Return a function that writes queries with the items on which feedback has most effect."""
    moved = tmp_path_factory.mktemp("feedback") / "bundle"

    def with_feedback(manifest):
        stages = manifest.stages.model_copy(update={"feedback": FEEDBACK})
        return manifest.model_copy(update={"stages": stages})

    revise(tiny_bundle, with_feedback, out=moved)
    plain, after = rank_all(tiny_bundle), rank_all(moved)

    def write(path: Path, helps: Effects) -> Path:
        return plant(path, plain, after, helps)

    return write
