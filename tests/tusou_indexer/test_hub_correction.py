"""The hub correction in bundles: built, compacted, verified, refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_bundle import CONTENTS, IDS, VECTORS
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.compact import compact
from tusou_indexer.query_bank import QueryBank

from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import MANIFEST
from tusou.bundle.stages import HUB_BIAS, QUERY_BANK, HubRecord
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, CorruptBundle, InvalidRequest
from tusou.live.operations import Delete, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.local import open_bundle
from tusou.stages.hub_bias import HubCorrection

JPEG = b"\xff\xd8\xff"


@pytest.fixture(scope="module")
def spec(pool: Path, queries: Path, tiny_model: Path) -> BuildSpec:
    return BuildSpec(
        str(pool), str(tiny_model), device="cpu", workers=1, query_bank=str(queries), hub_k=10
    )


@pytest.fixture(scope="module")
def built(spec: BuildSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub") / "b"
    build(spec, root, NoProgress())
    return root


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "b")
    return tmp_path / "b"


def test_a_build_computes_the_biases_from_the_bank(built: Path, queries: Path) -> None:
    bundle = Bundle.open(built)
    bundle.verify()
    bundle.check_parts()
    record = bundle.manifest.stages.hub
    assert record is not None
    assert (record.bank_size, record.k, record.alpha) == (40, 10, 0.75)
    texts = [json.loads(line)["query_text"] for line in queries.read_text().splitlines()]
    with open_bundle(built, device="cpu", backend="torch", precision="fp32") as opened:
        bank = opened.encode_texts(texts)
    np.testing.assert_allclose(bundle.query_bank, bank, atol=1e-5)
    correction = HubCorrection(bundle.query_bank, 10, 0.75)
    np.testing.assert_array_equal(bundle.hub_bias, correction.bias(bundle.vectors))


def test_a_bundle_searches_by_cosine_minus_bias(built: Path) -> None:
    bundle = Bundle.open(built)
    assert bundle.hub_bias is not None
    with open_bundle(built) as opened:
        query = opened.encode_texts(["3号红色碎花吊带裙"])[0]
        hits = opened.search("3号红色碎花吊带裙", top_k=20)
        plain = opened.search("3号红色碎花吊带裙", top_k=20, adjust=False)
    cosines = bundle.vectors @ query
    order = np.argsort(-(cosines - bundle.hub_bias), kind="stable")[:20].tolist()
    assert hits.item_ids == tuple(bundle.ids.at(key) for key in order)
    np.testing.assert_allclose(hits.scores, cosines[order], atol=1e-6)
    np.testing.assert_allclose(hits.adjusted_scores, (cosines - bundle.hub_bias)[order], atol=1e-6)
    order = np.argsort(-cosines, kind="stable")[:20].tolist()
    assert plain.item_ids == tuple(bundle.ids.at(key) for key in order)
    np.testing.assert_allclose(plain.scores, cosines[order], atol=1e-6)
    assert plain.adjusted_scores == ()
    assert hits.item_ids != plain.item_ids


def test_the_same_build_again_changes_nothing(copy: Path, spec: BuildSpec) -> None:
    version = Bundle.open(copy).version
    assert build(spec, copy, NoProgress()).version == version
    other = build(replace(spec, hub_k=5), copy, NoProgress())
    assert other.version != version
    assert other.encoded == 0
    record = Bundle.open(copy).manifest.stages.hub
    assert record is not None
    assert record.k == 5


def test_live_items_keep_their_biases_in_the_next_version(tmp_path: Path) -> None:
    hub = HubCorrection(unit_vectors(30, seed=7), k=4)
    root, new = tmp_path / "b", unit_vectors(2, seed=9)
    write_vector_bundle(root, IDS, VECTORS, CONTENTS, hub=hub)
    before = Bundle.open(root)
    store = LiveStore(root, before)
    store.change(Upsert("a", JPEG, new[0], MODEL, {}), Upsert("0007", JPEG, new[1], MODEL, {}))
    store.change(Delete(IDS[0]))
    store.close()
    compact(root)
    bundle = Bundle.open(root)
    bundle.check_parts()
    assert [bundle.ids.at(key) for key in range(5)] == [*IDS[1:3], IDS[4], "a", "0007"]
    assert bundle.manifest.stages == before.manifest.stages
    np.testing.assert_array_equal(bundle.query_bank, hub.bank)
    np.testing.assert_array_equal(bundle.hub_bias, hub.bias(np.asarray(bundle.vectors)))


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        (HUB_BIAS, np.zeros((4, 1), "<f2"), "does not hold 300 x 1 numbers"),
        (HUB_BIAS, np.full((300, 1), np.inf, "<f2"), "a bias that is not finite"),
        (QUERY_BANK, np.zeros((40, 64), "<f4"), "not of unit length"),
    ],
)
def test_wrong_files_are_told(
    copy: Path, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.float32]], reason: str
) -> None:
    bundle = Bundle.open(copy)
    np.save(bundle.path(name), array)
    with pytest.raises(CorruptBundle, match=f"changed, missing or foreign files: {name}"):
        bundle.verify()
    with pytest.raises(CorruptBundle, match=reason):
        bundle.check_parts()


def test_a_record_without_its_files_is_refused(copy: Path) -> None:
    path = Bundle.open(copy).path(MANIFEST)
    manifest = json.loads(path.read_bytes())
    del manifest["files"][HUB_BIAS]
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptBundle, match="wrong value"):
        Bundle.open(copy)


def test_a_bank_of_vectors_is_used_as_it_is(tmp_path: Path) -> None:
    vectors = unit_vectors(200, seed=1)
    np.save(tmp_path / "bank.npy", vectors)
    bank = QueryBank.read(str(tmp_path / "bank.npy"), alpha=0.5)
    assert bank.record == HubRecord(bank_sha256=bank.sha256, bank_size=200, k=128, alpha=0.5)
    np.testing.assert_array_equal(bank.vectors, vectors)


def test_texts_of_a_bank_are_those_that_the_service_would_search_for(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("红色连衣裙\n 红色连衣裙\n\n皮鞋\n" + "长" * 600 + "\n", encoding="utf-8")
    bank = QueryBank.read(str(path))
    assert (bank.texts, bank.size, bank.k) == (("红色连衣裙", "皮鞋"), 2, 2)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (np.zeros((0, 16), np.float32), BadDataset, "a row for each query"),
        (np.zeros((4, 16), np.float64), BadDataset, "float32"),
        (np.zeros((4, 16), np.float32), BadDataset, "unit length"),
        (b"\x93NUMPY", BadDataset, "not an array"),
    ],
)
def test_other_arrays_are_refused(
    tmp_path: Path, content: object, error: type[Exception], message: str
) -> None:
    path = tmp_path / "bank.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, np.asarray(content))
    with pytest.raises(error, match=message):
        QueryBank.read(str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hub_k": 41}, "--hub-k 41: give 1 to 40"),
        ({"hub_alpha": 3.0}, "--hub-alpha 3"),
        ({"query_bank": None}, "belong to --query-bank"),
        ({"index": "PQ65"}, "not a FAISS factory for 80 dimensions"),
    ],
)
def test_settings_are_refused_before_anything_is_encoded(
    spec: BuildSpec, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        build(replace(spec, **changes), tmp_path / "b", NoProgress())  # type: ignore[arg-type]


def test_vectors_of_another_model_are_refused(spec: BuildSpec, tmp_path: Path) -> None:
    np.save(tmp_path / "bank.npy", unit_vectors(20, seed=1))
    with pytest.raises(InvalidRequest, match="have 16 numbers, those of the model 64"):
        build(replace(spec, query_bank=str(tmp_path / "bank.npy")), tmp_path / "b", NoProgress())


def test_a_bank_for_texts_is_one_of_images(text_spec: BuildSpec, queries: Path) -> None:
    with pytest.raises(InvalidRequest, match="texts are searched with images"):
        build(replace(text_spec, query_bank=str(queries)), queries.parent / "t", NoProgress())
