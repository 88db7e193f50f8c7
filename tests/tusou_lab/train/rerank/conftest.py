"""Fixtures: planted data, a bundle of its train split, and a cross-encoder trained for it."""

from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_lab.train.rerank.run import RerankReport, RerankSpec, train_reranker

from tests.tusou_lab.train.rerank.planted import write_planted
from tusou.cli.progress import NoProgress

SPEC = RerankSpec(
    epochs=8, batch_size=8, lr=1e-3, weight_decay=0.01, seed=4, precision="fp32", layers=2
)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_planted(tmp_path_factory.mktemp("planted") / "data")


@pytest.fixture(scope="session")
def bundle(planted: str, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    build(BuildSpec(f"{planted}#valid", str(tiny_model), workers=1), out, NoProgress())
    return out


@pytest.fixture(scope="session")
def trained(planted: str, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> RerankReport:
    out = tmp_path_factory.mktemp("trained") / "重排.pt"
    return train_reranker(planted, SPEC, bundle, out, device="cpu")
