"""Searches of judged queries through stages: the order of a saved run, a reranker that fails."""

from pathlib import Path

import pytest
from tusou_lab.evaluate.export import save
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, search_bundle
from tusou_lab.evaluate.search_queries import ordering_scores

from tusou.bundle.manifest import Manifest
from tusou.bundle.revise import revise
from tusou.bundle.stages import FeedbackRecord, RerankRecord, StageRecord
from tusou.core.errors import InvalidRequest
from tusou.core.hits import Hits
from tusou.evaluation.judgments import read_judgments
from tusou.evaluation.runs import read_run
from tusou.stages.endpoint_spec import EndpointSpec

pytestmark = pytest.mark.services


def with_stage(bundle: Path, out: Path, name: str, record: StageRecord) -> Path:
    def changed(manifest: Manifest) -> Manifest:
        stages = manifest.stages.model_copy(update={name: record})
        return manifest.model_copy(update={"stages": stages})

    revise(bundle, changed, out=out)
    return out


def test_a_saved_run_keeps_the_order_that_a_stage_made(
    tiny_bundle: Path, queries: Path, tmp_path: Path
) -> None:
    record = FeedbackRecord(items=5, weight=2.0)
    root = with_stage(tiny_bundle, tmp_path / "moved", "feedback", record)
    judgments = read_judgments(queries)
    run = search_bundle(root, judgments, BundleSearchSpec(20)).run
    assert run.rankings != search_bundle(tiny_bundle, judgments, BundleSearchSpec(20)).run.rankings
    assert run.header is not None
    assert run.header.settings["stages"] == "feedback"
    for name in ("run.trec", "run.jsonl"):  # programs order a TREC run by its scores
        save(tmp_path / name, run, judgments)
        assert {str(key): tuple(map(str, items)) for key, items in run.rankings.items()} == {
            str(key): tuple(map(str, items))
            for key, items in read_run(tmp_path / name).rankings.items()
        }


@pytest.mark.parametrize(
    ("hits", "scores"),
    [
        (Hits((1, 2), (0.5, 0.4)), (0.5, 0.4)),
        (Hits((1, 2), (0.5, 0.5)), (0.5, 0.5)),
        (Hits((1, 2), (0.4, 0.5), adjusted_scores=(0.3, 0.2)), (0.3, 0.2)),
        (Hits((1, 2), (0.4, 0.5), adjusted_scores=(0.2, 0.3)), None),
        (Hits((1, 2), (0.4, 0.5), rerank="complete"), None),
        (Hits((1, 2), (0.5, 0.4), rerank="partial"), None),
    ],
)
def test_scores_are_those_that_order_the_ranking(
    hits: Hits, scores: tuple[float, ...] | None
) -> None:
    assert ordering_scores(hits) == scores


@pytest.mark.timeout(60)
def test_a_reranker_that_fails_is_an_error_and_no_other_figure(
    tiny_bundle: Path, queries: Path, tmp_path: Path
) -> None:
    spec = EndpointSpec("http://127.0.0.1:9/v1", "nothing-listens")
    record = RerankRecord(
        kind="endpoint",
        model=spec.model,
        sha256=None,
        depth=10,
        deadline_ms=500,
        weight=1,
        options=spec.options,
    )
    root = with_stage(tiny_bundle, tmp_path / "away", "rerank", record)
    with pytest.raises(InvalidRequest, match="query 7000: the bundle's reranker failed"):
        search_bundle(root, read_judgments(queries), BundleSearchSpec(5))
