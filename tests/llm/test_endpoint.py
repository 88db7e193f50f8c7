"""Reranking by vision language models that a real server runs: grades, nonsense and an outage."""

import math
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image
from tusou_indexer.build import BuildSpec, build

from benchmarks.model_server import ModelServer
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import Unavailable
from tusou.retrieval.item_view import VersionView
from tusou.stages.base import RerankTask
from tusou.stages.endpoint_reranker import EndpointReranker
from tusou.stages.endpoint_spec import EndpointSpec

COLOURS = {"蓝裙 1": "blue", "红裙 1": "red", "蓝裙 2": (0, 0, 250), "红裙 2": (250, 0, 0)}


@pytest.fixture(scope="session")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dresses")
    (folder / "photos").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (60, 80), colour).save(folder / "photos" / f"{name}.png")
    spec = BuildSpec(str(folder / "photos"), str(tiny_model), workers=1, device="cpu")
    build(spec, folder / "bundle", NoProgress())
    return folder / "bundle"


@pytest.fixture
def task(bundle: Path) -> RerankTask:
    view = VersionView(Bundle.open(bundle))
    keys = [key for name in COLOURS if (key := view.find(name)) is not None]
    cosines = np.array([0.4, 0.3, 0.2, 0.1], np.float32)
    return RerankTask(("红色连衣裙",), view.vectors(keys)[0], tuple(keys), cosines, view)


def scored(reranker: EndpointReranker, task: RerankTask, deadline: float) -> dict[int, float]:
    parts = reranker.score(task, deadline)
    return {
        p: score for positions, scores in parts for p, score in zip(positions, scores, strict=True)
    }


def rerankers(server: ModelServer, model: Path, **spec: object) -> EndpointReranker:
    endpoint = EndpointSpec(server.url, str(model), **spec)  # type: ignore[arg-type]
    return EndpointReranker(endpoint, depth=10, seconds=60, weight=0.5)


def test_a_model_that_knows_colours_grades_them(
    server: ModelServer, models: Path, task: RerankTask
) -> None:
    reranker = rerankers(server, models / "taught", mode="pointwise")
    assert scored(reranker, task, math.inf) == {0: 0.0, 1: 1.0, 2: 0.0, 3: 1.0}
    reranker.close()


@pytest.mark.parametrize("mode", ["listwise", "pointwise"])
def test_a_random_model_gives_no_scores_and_no_error(
    mode: str, server: ModelServer, models: Path, task: RerankTask
) -> None:
    reranker = rerankers(server, models / "random", mode=mode)
    assert scored(reranker, task, math.inf) == {}
    reranker.close()


def test_an_unknown_model_is_an_error(server: ModelServer, models: Path, task: RerankTask) -> None:
    reranker = rerankers(server, models / "missing")
    with pytest.raises(Unavailable):
        scored(reranker, task, monotonic() + 30)
    reranker.close()


def test_an_outage_ends_with_the_server_s_return(
    server: ModelServer, models: Path, task: RerankTask
) -> None:
    reranker = rerankers(server, models / "taught", mode="pointwise")
    server.kill()
    try:
        with pytest.raises(Unavailable):
            scored(reranker, task, monotonic() + 1)
    finally:
        server.start()
    sleep(2)  # the circuit breaker's pause
    assert scored(reranker, task, math.inf) == {0: 0.0, 1: 1.0, 2: 0.0, 3: 1.0}
    reranker.close()
