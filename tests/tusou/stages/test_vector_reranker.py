"""Reranking by the vectors of another model: scores, items without a vector, and wrong weights."""

from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest
from drawing import image_bytes, image_line
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.compact import compact
from tusou_indexer.rerank_changes import set_vectors
from tusou_indexer.stage_changes import change_stages, take_away

from tusou.bundle.bundle import Bundle
from tusou.bundle.rerank_vectors import open_rerank_vectors
from tusou.bundle.stages import RERANK_VECTORS
from tusou.cli.progress import NoProgress
from tusou.core.errors import CorruptBundle, IncompatibleBundle, InvalidRequest
from tusou.encoders import DEMO
from tusou.live.operations import Delete, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query

TEXT = "红色连衣裙"
SMALL_IDS = ["3", "1", "商品-2", "5.jpg#zhc#0"]
LARGE_IDS = ["1", "5.jpg#zhc#0", "9", "3"]  # without 商品-2, in another order


def make_bundle(root: Path, ids: list[str], model: str, prompt: str | None = None) -> Path:
    source = root.with_suffix(".tsv")
    source.write_bytes(b"".join(image_line(item_id, sum(item_id.encode())) for item_id in ids))
    build(BuildSpec(str(source), model, prompt=prompt, workers=1, device="cpu"), root, NoProgress())
    return root


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("larger") / "b"
    return make_bundle(root, LARGE_IDS, DEMO, prompt="一张{query}的照片")


@pytest.fixture
def small(tiny_model: Path, tmp_path: Path) -> Path:
    model = Path(copyfile(tiny_model, tmp_path / "tiny.pt"))
    return make_bundle(tmp_path / "small", SMALL_IDS, str(model))


def give_vectors(small: Path, larger: Path) -> Bundle:
    folder = small.parent / "vectors"
    folder.mkdir()
    return change_stages(small, [set_vectors(Bundle.open(small), larger, folder)])


def vectors_by_id(bundle: Bundle) -> dict[str, list[float]]:
    rows = open_rerank_vectors(bundle).read().tolist()
    return {str(bundle.ids.at(key)): row for key, row in enumerate(rows)}


def expected_vectors(larger: Path, ids: list[str]) -> dict[str, list[float]]:
    bundle = Bundle.open(larger)
    keys = {item_id: bundle.ids.key(item_id) for item_id in ids}
    zeros = [0.0] * bundle.dim
    return {i: zeros if key is None else bundle.vectors[key].tolist() for i, key in keys.items()}


def test_the_vectors_are_those_of_the_same_ids(small: Path, larger: Path) -> None:
    before, bundle = Bundle.open(small), give_vectors(small, larger)
    assert vectors_by_id(bundle) == expected_vectors(larger, SMALL_IDS)
    record = bundle.manifest.stages.rerank
    assert record is not None
    assert (record.kind, record.model, record.depth) == ("vectors", "demo", 100)
    assert (record.sha256, record.options["items"]) == (
        Bundle.open(larger).manifest.model.sha256,
        3,
    )
    bundle.verify()
    assert bundle.path("vectors.npy").read_bytes() == before.path("vectors.npy").read_bytes()
    without = change_stages(small, [take_away(bundle, ["rerank"])])
    assert RERANK_VECTORS not in without.manifest.files


def test_scores_are_cosines_in_the_other_space(small: Path, larger: Path) -> None:
    give_vectors(small, larger)
    query = replace(Query.of_text(TEXT, 10), explain=True)
    (expected,) = SearchPipeline.open(larger).search([query]).hits
    cosines = dict(zip(expected.item_ids, expected.scores, strict=True))
    (hits,) = SearchPipeline.open(small).search([query]).hits
    assert hits.rerank == "partial"  # one item has no vector
    scores = dict(zip(hits.item_ids, hits.stage_scores, strict=True))
    assert "rerank" not in scores.pop("商品-2")
    assert {item_id: each["rerank"] for item_id, each in scores.items()} == {
        item_id: pytest.approx(cosines[item_id], abs=1e-3) for item_id in scores
    }


def test_a_query_for_an_item_is_not_reranked(small: Path, larger: Path) -> None:
    give_vectors(small, larger)
    (hits,) = SearchPipeline.open(small).search([Query((ItemPart("3"),), 10)]).hits
    assert (len(hits), hits.rerank) == (3, None)


def test_live_items_have_no_score_and_keep_none_when_they_are_compacted(
    small: Path, larger: Path
) -> None:
    bundle = give_vectors(small, larger)
    model, vector = bundle.manifest.model.sha256, bundle.vectors[0]
    store = LiveStore(small, bundle)
    store.change(Upsert("新款", image_bytes(7), vector, model, {}), Delete("1"))
    store.change(Upsert("3", image_bytes(8), bundle.vectors[1], model, {}))
    store.close()
    compact(small)
    expected = expected_vectors(larger, ["商品-2", "5.jpg#zhc#0", "新款", "0"])
    assert vectors_by_id(Bundle.open(small)) == {
        "商品-2": expected["商品-2"],
        "5.jpg#zhc#0": expected["5.jpg#zhc#0"],
        "新款": expected["0"],
        "3": expected["0"],
    }
    query = replace(Query.of_text(TEXT, 10), explain=True)
    (hits,) = SearchPipeline.open(small).search([query]).hits
    scored = [
        i for i, each in zip(hits.item_ids, hits.stage_scores, strict=True) if "rerank" in each
    ]
    assert scored == ["5.jpg#zhc#0"]


def test_refuses_other_items(small: Path, larger: Path, tmp_path: Path) -> None:
    unrelated = make_bundle(tmp_path / "unrelated", ["77", "78"], DEMO)
    with pytest.raises(InvalidRequest, match="no item with the id"):
        give_vectors(small, unrelated)


def test_a_damaged_bundle_gives_no_vectors(small: Path, tmp_path: Path) -> None:
    damaged = make_bundle(tmp_path / "damaged", LARGE_IDS, DEMO)
    path = Bundle.open(damaged).path("vectors.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CorruptBundle, match=r"vectors\.npy is damaged"):
        give_vectors(small, damaged)


def test_other_weights_are_not_taken(small: Path, tiny_model: Path, tmp_path: Path) -> None:
    model = Path(copyfile(tiny_model, tmp_path / "other.pt"))
    give_vectors(small, make_bundle(tmp_path / "other", LARGE_IDS, str(model)))
    model.write_bytes(Path(Bundle.open(small).manifest.model.location).read_bytes() + b"\0")
    with pytest.raises(IncompatibleBundle, match="not those that made the vectors for reranking"):
        SearchPipeline.open(small)
    model.unlink()
    with pytest.raises(IncompatibleBundle, match="are not where they were"):
        SearchPipeline.open(small)


def test_a_wrong_record_is_told(small: Path, larger: Path) -> None:
    bundle = give_vectors(small, larger)
    record = bundle.manifest.stages.rerank
    assert record is not None
    for options in ({}, {"model": "{}", "prompts": "[]"}, {**record.options, "prompts": "7"}):
        stages = bundle.manifest.stages.model_copy(
            update={"rerank": record.model_copy(update={"options": options})}
        )
        broken = Bundle(bundle.folder, bundle.manifest.model_copy(update={"stages": stages}))
        with pytest.raises(CorruptBundle, match=r"wrong value at stages\.rerank"):
            open_rerank_vectors(broken)
