"""The queries of a cross-encoder are encoded as the bundle's searches read them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.train import loop
from tusou_lab.train.data import SplitEncoder, load_splits
from tusou_lab.train.rerank.data import RerankSplit, RerankSplitLoader
from tusou_lab.train.rerank.run import train_reranker

from tests.tusou_lab.train.rerank.conftest import SPEC
from tests.tusou_lab.train.rerank.planted import write_planted
from tests.tusou_lab.train.rerank.test_run import KillIn
from tusou.cli.progress import NoProgress
from tusou.core.errors import InputError
from tusou.encoders import image_transform
from tusou.encoders.cross.checkpoint import read_cross
from tusou.encoders.cross.towers import new_shape
from tusou.encoders.tokenizer import ClipTokenizer
from tusou.encoders.training_record import read_record
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

REFUSING = "红色包，不带拉链"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the planted data with a refusal in a query of each split."""
    data = write_planted(tmp_path_factory.mktemp("refusing") / "data")
    for path in Path(data).glob("*.jsonl"):
        path.write_text(path.read_text("utf-8").replace("红色包", REFUSING), "utf-8")
    return data


def load(pipeline: SearchPipeline, data: str, cache: Path, *, interpret: bool) -> RerankSplit:
    (weights,) = find_bundle_weights(pipeline.bundle.manifest).members
    encoder = SplitEncoder(image_transform(weights), ClipTokenizer().prepare)
    _, valid = load_splits(data, None, encoder, cache, NoProgress())
    shape = new_shape(weights, 2)
    loader = RerankSplitLoader(pipeline, weights, shape, cache, interpret=interpret)
    return loader.load(valid, NoProgress())


def test_refusals_are_subtracted_unless_switched_off(
    refusing: str, bundle: Path, tmp_path: Path
) -> None:
    pipeline = SearchPipeline.open(bundle, device="cpu")
    rows = Path(refusing, "MR_valid_queries.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(row)["query_text"] for row in rows]
    splits = [load(pipeline, refusing, tmp_path, interpret=each) for each in (True, False)]
    for split, interpret in zip(splits, (True, False), strict=True):
        read = [Query.of_text(text, 5, interpret=interpret) for text in texts]
        best = [hits.scores[0] for hits in pipeline.search(read).hits]  # type: ignore[union-attr]
        highest = (split.query_vectors @ split.image_vectors.T).max(axis=1)
        np.testing.assert_allclose(highest, best, atol=1e-5)
    subtracted, literal = splits
    different = np.abs(subtracted.query_vectors - literal.query_vectors).max(axis=1) > 1e-4
    assert different.tolist() == [text == REFUSING for text in texts]
    longer = [
        len(b) - len(a) for a, b in zip(subtracted.text_tokens, literal.text_tokens, strict=True)
    ]
    assert [bool(each) for each in longer] == different.tolist()


def test_the_choice_is_recorded_and_a_run_with_the_other_one_is_not_resumed(
    refusing: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    literal, out = replace(SPEC, epochs=1, interpret=False), tmp_path / "重排.pt"
    with pytest.raises(KeyboardInterrupt):
        train_reranker(refusing, literal, bundle, out, device="cpu", progress=KillIn(2))
    with pytest.raises(InputError, match="other settings"):
        train_reranker(refusing, replace(literal, interpret=True), bundle, out, device="cpu")
    train_reranker(refusing, literal, bundle, out, device="cpu")
    record = read_record(out)
    assert record is not None
    assert not record.settings["interpret"]
    (weights,) = find_bundle_weights(SearchPipeline.open(bundle).bundle.manifest).members
    assert read_cross(out, [weights.digest]).training["interpret"] is False
