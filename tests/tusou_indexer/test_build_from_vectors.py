"""Bundles of vectors from elsewhere: with a query encoder, without one, and bad rows."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from drawing import image_bytes, image_line
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.build_from_vectors import build_from_vectors
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.vector_build_inputs import VectorBuildSpec

from tusou.bundle import given_vectors
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InvalidRequest, NoImage, OutputExists, TusouError
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, given_vector

COUNT = 60
IDS = [f"{n}.jpg" for n in range(COUNT - 1)] + ["连衣裙 01"]


class Notices(NoProgress):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def notice(self, message: str) -> None:
        self.sentences.append(message)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "imgs.tsv"
    path.write_bytes(b"".join(image_line(item_id, n) for n, item_id in enumerate(IDS)))
    return path


@pytest.fixture(scope="module")
def encoded(images: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose items were encoded."""
    out = tmp_path_factory.mktemp("encoded") / "b"
    build(BuildSpec(str(images), str(tiny_model), device="cpu", workers=1), out, NoProgress())
    return out


@pytest.fixture
def spec(encoded: Path, tmp_path: Path) -> VectorBuildSpec:
    np.save(tmp_path / "x.npy", Bundle.open(encoded).vectors)
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    return VectorBuildSpec(tmp_path / "x.npy", tmp_path / "ids.txt", IndexRequest(), device="cpu")


def rebuilt(spec: VectorBuildSpec, change: Callable[[npt.NDArray[np.float32]], object]) -> None:
    """Change the vectors in the file."""
    array = np.load(spec.vectors)
    change(array)
    np.save(spec.vectors, array)


def index(spec: VectorBuildSpec, out: Path, **options: object) -> Bundle:
    build_from_vectors(replace(spec, **options), out, NoProgress())  # type: ignore[arg-type]
    bundle = Bundle.open(out)
    bundle.verify()
    bundle.check_parts()
    return bundle


def failures(bundle: Bundle) -> list[tuple[object, ...]]:
    lines = bundle.path("failures.jsonl").read_text("utf-8").splitlines()
    return [tuple(json.loads(line).values()) for line in lines]


def test_with_the_model_a_text_finds_what_it_finds_where_items_were_encoded(
    spec: VectorBuildSpec, encoded: Path, tiny_model: Path, tmp_path: Path
) -> None:
    bundle = index(spec, tmp_path / "b", model=str(tiny_model), prompt="商品：{query}")
    np.testing.assert_array_equal(bundle.vectors, Bundle.open(encoded).vectors)
    ours = SearchPipeline.open(tmp_path / "b")
    theirs = SearchPipeline.open(encoded)
    query = [Query.of_text("红色碎花连衣裙", 10)]
    with_prompt = [Query.of_text("商品：红色碎花连衣裙", 10)]
    assert ours.search(query).hits[0].item_ids == theirs.search(with_prompt).hits[0].item_ids
    assert bundle.manifest.model == Bundle.open(encoded).manifest.model
    source = bundle.manifest.vector_source
    assert source is not None
    assert (source.name, source.dtype, source.scaled, source.encoder) == (
        "x.npy",
        "float32",
        0,
        True,
    )
    assert source.size == spec.vectors.stat().st_size


def test_without_a_model_items_are_found_by_vectors_alone(
    spec: VectorBuildSpec, tmp_path: Path
) -> None:
    bundle = index(spec, tmp_path / "b")
    pipeline = SearchPipeline.open(tmp_path / "b")
    part = given_vector(bundle.vectors[7] * 3)
    hits = pipeline.search([Query((part,), 3)]).hits[0]
    exact = np.argsort(-(bundle.vectors @ bundle.vectors[7]), kind="stable")[:3]
    assert hits.item_ids == tuple(IDS[n] for n in exact)  # type: ignore[union-attr]
    assert hits.scores[0] == pytest.approx(1, abs=1e-6)  # type: ignore[union-attr]
    assert not bundle.manifest.has_encoder
    assert bundle.golden[0] == []
    with pytest.raises(NoImage):
        bundle.image("7.jpg")


def test_an_approximate_index_is_tuned_without_a_model(
    spec: VectorBuildSpec, tmp_path: Path
) -> None:
    record = index(spec, tmp_path / "b", index=IndexRequest("IVF4,Flat")).manifest.index
    assert record.factory == "IVF4,Flat"
    assert record.index_recall_at_10 is not None
    assert record.index_recall_at_10 >= 0.99


def test_every_unusable_row_is_listed(spec: VectorBuildSpec, tmp_path: Path) -> None:
    def spoil(array: npt.NDArray[np.float32]) -> None:
        array[1], array[2, 3], array[4] = 0, np.nan, array[4] * 7

    rebuilt(spec, spoil)
    names = [*IDS[:10], "3.jpg", " x", *IDS[12:]]
    spec.ids.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode())
    with pytest.raises(BadDataset, match="4 of 60 lines cannot be used"):
        index(spec, tmp_path / "b")
    bundle = index(spec, tmp_path / "b", max_bad="4")
    assert failures(bundle) == [
        (2, "1.jpg", "vector of zeros"),
        (3, "2.jpg", "vector is not finite"),
        (11, "3.jpg", "duplicate id"),
        (12, None, "id with blanks around it or control characters"),
    ]
    counts = bundle.manifest.counts
    assert (counts.items, counts.embedded, counts.failed) == (60, 56, 4)
    kept = [name for n, name in enumerate(names) if n not in {1, 2, 10, 11}]
    assert [bundle.ids.at(key) for key in range(56)] == kept
    norms = np.linalg.norm(bundle.vectors, axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-6)
    assert bundle.manifest.vector_source is not None
    assert bundle.manifest.vector_source.scaled == 1


def test_scaled_vectors_are_told(spec: VectorBuildSpec, tmp_path: Path) -> None:
    rebuilt(spec, lambda array: np.multiply(array, 2, out=array))
    notices = Notices()
    build_from_vectors(spec, tmp_path / "b", notices)
    (sentence,) = notices.sentences
    assert sentence == "60 of 60 vectors were not of unit length and are scaled to it"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param("a\nb\n", "holds 2 ids, and there are 60 vectors", id="fewer"),
        pytest.param("\n".join(map(str, range(70))), "holds more ids", id="more"),
        pytest.param("x" * 70_000, "line 1 is too long", id="no-lines"),
        pytest.param("a\n" * 59 + "\n", "59 of 60 lines", id="all-equal"),
    ],
)
def test_ids_that_are_not_those_of_the_rows(
    ids: str, message: str, spec: VectorBuildSpec, tmp_path: Path
) -> None:
    spec.ids.write_text(ids)
    with pytest.raises(BadDataset, match=message):
        index(spec, tmp_path / "b")


def test_a_model_of_another_space_is_refused(spec: VectorBuildSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"demo have 128 numbers, those of .* have 64"):
        index(spec, tmp_path / "b", model="demo")


def test_a_prompt_needs_a_model(spec: VectorBuildSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="add --model"):
        index(spec, tmp_path / "b", prompt="商品：{query}")


def test_images_and_attributes_are_attached_by_id(
    spec: VectorBuildSpec, images: Path, tmp_path: Path
) -> None:
    lines = images.read_bytes().splitlines(keepends=True)
    (tmp_path / "some.tsv").write_bytes(b"".join([*lines[5:], image_line("else", 99)]))
    rows = [json.dumps({"item_id": item_id, "price": n}) for n, item_id in enumerate(IDS)]
    (tmp_path / "goods.jsonl").write_text("\n".join(reversed(rows)))
    notices = Notices()
    attached = replace(spec, source=str(tmp_path / "some.tsv"), attributes=tmp_path / "goods.jsonl")
    build_from_vectors(attached, tmp_path / "b", notices)
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.image("连衣裙 01")[0] == image_bytes(59, form="JPEG")
    with pytest.raises(NoImage):
        bundle.image("4.jpg")
    without, extra = notices.sentences
    assert without.startswith("5 items have a vector and no content in")
    assert extra.endswith("have no vector\n  else")
    assert bundle.attributes is not None
    assert bundle.attributes.row(59) == {"price": 59}
    assert bundle.manifest.source.path == str(tmp_path / "some.tsv")


def test_a_dataset_of_other_items_is_refused(spec: VectorBuildSpec, tmp_path: Path) -> None:
    (tmp_path / "other.tsv").write_bytes(image_line(1, 1))
    with pytest.raises(BadDataset, match=r"none of its items has a vector; the first id is 0\.jpg"):
        index(spec, tmp_path / "b", source=str(tmp_path / "other.tsv"))


def test_the_same_build_is_not_repeated(spec: VectorBuildSpec, tmp_path: Path) -> None:
    first = index(spec, tmp_path / "b")
    changed = first.path("manifest.json").stat().st_mtime_ns
    again = index(spec, tmp_path / "b")
    assert (again.version, again.path("manifest.json").stat().st_mtime_ns) == (
        first.version,
        changed,
    )
    rebuilt(spec, lambda array: np.negative(array[:1], out=array[:1]))
    assert index(spec, tmp_path / "b").version != first.version


def test_a_folder_of_something_else_stays(spec: VectorBuildSpec, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists):
        index(spec, tmp_path / "b")


def test_large_files_are_read_in_blocks(
    spec: VectorBuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = index(spec, tmp_path / "whole")
    monkeypatch.setattr(given_vectors, "_BLOCK_BYTES", 7 * 64 * 8)
    assert index(spec, tmp_path / "blocks").version == whole.version
    np.save(spec.vectors, np.asfortranarray(np.load(spec.vectors)))
    fortran = index(spec, tmp_path / "fortran")
    np.testing.assert_array_equal(fortran.vectors, whole.vectors)


def test_a_strict_build_measures_before_it_publishes(spec: VectorBuildSpec, tmp_path: Path) -> None:
    request = IndexRequest("PQ4x4", target_recall=1.0)
    with pytest.raises(TusouError, match="below the target"):
        index(spec, tmp_path / "b", index=request, strict_recall=True)
    assert not (tmp_path / "b" / "CURRENT").exists()
