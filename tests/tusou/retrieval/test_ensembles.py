"""Search of bundles of two models: exact against the weighted sum of cosines; moved weights."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from tusou_indexer.build import BuildSpec, build

import tusou
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Vectors
from tusou.core.errors import IncompatibleBundle, InsufficientMemory
from tusou.core.hits import Hits
from tusou.encoders import find_weights, resolve_encoder
from tusou.retrieval.local import LocalSearch
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

TEXTS = ["红色连衣裙", "“复古”风 A字裙", "男士黑色皮鞋"]
WEIGHTS = (0.7, 0.3)


@pytest.fixture(scope="module")
def root(
    pool: Path, tiny_model: Path, second_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Index the pool with each of the models, and with both; the folders are a, b and both."""
    folder = tmp_path_factory.mktemp("ensembles")
    templates = folder / "templates.txt"
    templates.write_text("{query}\n一张照片：{query}\n")
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, device="cpu", prompt_file=templates)
    build(spec, folder / "a", NoProgress())
    build(replace(spec, model=str(second_model)), folder / "b", NoProgress())
    both = replace(
        spec,
        more_models=(str(second_model),),
        weights=WEIGHTS,
        reuse=(folder / "a", folder / "b"),
    )
    build(both, folder / "both", NoProgress())
    return folder


@pytest.fixture(scope="module")
def searches(root: Path) -> Iterator[list[LocalSearch]]:
    opened = [tusou.open_bundle(root / name) for name in ("a", "b", "both")]
    yield opened
    for each in opened:
        each.close()


def cosines(search: LocalSearch, root: Path, queries: Vectors) -> Vectors:
    return queries @ np.array(Bundle.open(root).vectors).T


def test_scores_are_the_weighted_sum_of_cosines(root: Path, searches: list[LocalSearch]) -> None:
    a, b, both = searches
    expected = WEIGHTS[0] * cosines(a, root / "a", a.encode_texts(TEXTS))
    expected += WEIGHTS[1] * cosines(b, root / "b", b.encode_texts(TEXTS))
    for row, hits in zip(expected, both.search(TEXTS, top_k=300), strict=True):
        np.testing.assert_allclose(hits.scores, np.sort(row)[::-1], atol=1e-5)
        by_id = dict(zip(range(1000, 1300), row.tolist(), strict=True))
        assert hits.scores == pytest.approx([by_id[item] for item in hits.item_ids], abs=1e-5)


def test_a_query_image_goes_through_every_image_tower(
    root: Path, searches: list[LocalSearch]
) -> None:
    a, b, both = searches
    image = image_bytes(7)
    hits = both.search(image=image, top_k=300)
    assert (hits.item_ids[0], hits.scores[0]) == (1007, pytest.approx(1, abs=1e-5))
    expected = WEIGHTS[0] * cosines(a, root / "a", a.encode_images([image]))
    expected += WEIGHTS[1] * cosines(b, root / "b", b.encode_images([image]))
    np.testing.assert_allclose(hits.scores, np.sort(expected[0])[::-1], atol=1e-5)


def test_cached_queries_have_the_vectors_of_new_ones(root: Path) -> None:
    queries = [Query.of_text(text, 5) for text in TEXTS]
    plain = SearchPipeline.open(root / "both", device="cpu").search(queries)
    caching = SearchPipeline.open(root / "both", device="cpu", cache_size=8)
    first, again = caching.search(queries), caching.search([*queries[::-1], queries[0]])
    assert (plain.cache_hits, first.cache_hits, again.cache_hits) == (0, 0, 4)
    for hits, other, cached in zip(plain.hits, first.hits, again.hits[2::-1], strict=True):
        assert isinstance(hits, Hits)
        assert isinstance(other, Hits)
        assert isinstance(cached, Hits)
        assert hits.item_ids == other.item_ids == cached.item_ids
        assert other.scores == cached.scores
        assert hits.scores == pytest.approx(other.scores, abs=1e-6)


def test_a_truncated_text_is_one_that_any_template_truncates(root: Path) -> None:
    pipeline = SearchPipeline.open(root / "both", device="cpu")
    fits, cut = pipeline.search([Query.of_text("裙" * 44, 1), Query.of_text("裙" * 47, 1)]).hits
    assert isinstance(fits, Hits)
    assert isinstance(cut, Hits)
    assert (fits.truncated, cut.truncated) == (False, True)


@pytest.fixture
def moved(root: Path, second_model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a bundle whose second model has moved, and where it is now."""
    place, now = tmp_path / "second.pt", tmp_path / "new,name.pt"
    shutil.copy(second_model, place)
    manifest = Bundle.open(root / "both").manifest
    spec = BuildSpec(
        manifest.source.path,
        manifest.model.members[0].location,
        workers=1,
        device="cpu",
        more_models=(str(place),),
        weights=WEIGHTS,
        reuse=(root / "both",),
    )
    build(spec, tmp_path / "bundle", NoProgress())
    place.rename(now)
    return tmp_path / "bundle", now


def test_a_missing_model_is_named(moved: tuple[Path, Path], tiny_model: Path) -> None:
    bundle, now = moved
    with pytest.raises(IncompatibleBundle, match=r"second\.pt.* not where they were") as raised:
        SearchPipeline.open(bundle)
    assert "tiny.pt" not in str(raised.value)
    plain = now.with_name("plain.pt")
    now.rename(plain)
    for model in (str(plain), f"{plain},{tiny_model}", f"{tiny_model},{plain}"):
        opened = SearchPipeline.open(bundle, model=model, device="cpu")
        assert len(opened.search([Query.of_text("裙", 3)]).hits) == 1
        opened.load_image_tower()


def test_other_weights_than_those_of_a_member_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleBundle, match=r"tiny\.pt.*second\.pt.*found demo"):
        SearchPipeline.open(root / "both", model="demo")
    with pytest.raises(IncompatibleBundle, match="not where they were"):
        SearchPipeline.open(root / "both", model=str(tmp_path / "none.pt"))


def test_memory_is_that_of_all_towers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(root / "both")
    members = [find_weights(member.location) for member in bundle.manifest.model.members]
    each = [resolve_encoder(weights, "text", "cpu", "fp32").min_memory for weights in members]
    free = bundle.least_memory + sum(each)
    monkeypatch.setattr("tusou.core.memory_budget.available_memory", lambda: free)
    SearchPipeline.open(root / "both", device="cpu", precision="fp32")
    free -= 1
    with pytest.raises(InsufficientMemory):
        SearchPipeline.open(root / "both", device="cpu", precision="fp32")


def test_a_member_that_encodes_otherwise_is_found_by_the_golden_texts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = SearchPipeline.open(root / "both", device="cpu")
    encode = opened._encoder.encode
    monkeypatch.setattr(
        opened._encoder,
        "encode",
        lambda tokens: np.concatenate([encode(tokens)[:, :64], -encode(tokens)[:, 64:]], axis=1),
    )
    with pytest.raises(IncompatibleBundle, match="golden"):
        opened.check()
