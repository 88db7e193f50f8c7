"""Ensembles of models of different families, and what their bundles record and reuse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes, image_line
from tusou_indexer.build import BuildSpec, build

import tusou
from tests.models.tiny import save_tiny_siglip
from tests.models.tiny_multilingual import save_tiny_metaclip2
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

pytestmark = pytest.mark.models

WEIGHTS = (0.5, 0.3, 0.2)
TEXTS = ["红色连衣裙", "a photo of two dogs", "男士黑色皮鞋"]


@pytest.fixture(scope="module")
def root(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index images with three models, one by one, and with all; the folders are 0, 1, 2 and all."""
    folder = tmp_path_factory.mktemp("families")
    models = [
        tiny_model,
        save_tiny_siglip(folder / "siglip"),
        save_tiny_metaclip2(folder / "metaclip2"),
    ]
    (folder / "imgs.tsv").write_bytes(
        b"".join(image_line(f"{n}.jpg#zhc#0", n, 48) for n in range(30))
    )
    templates = folder / "templates.txt"
    templates.write_text("{query}\n一张照片：{query}\n")
    spec = BuildSpec(
        str(folder / "imgs.tsv"),
        str(models[0]),
        workers=1,
        device="cpu",
        precision="fp32",
        prompt_file=templates,
    )
    for number, model in enumerate(models):
        build(replace(spec, model=str(model)), folder / str(number), NoProgress())
    others = tuple(map(str, models[1:]))
    together = replace(spec, more_models=others, weights=WEIGHTS)
    reuse = tuple(folder / str(number) for number in range(3))
    report = build(replace(together, reuse=reuse), folder / "all", NoProgress())
    assert report.encoded == 0
    return folder


def test_scores_are_the_weighted_sum_of_cosines_of_every_family(root: Path) -> None:
    expected = np.zeros((len(TEXTS), 30), np.float32)
    for number, weight in enumerate(WEIGHTS):
        with tusou.open_bundle(root / str(number)) as search:
            vectors = np.array(Bundle.open(root / str(number)).vectors)
            expected += weight * search.encode_texts(TEXTS) @ vectors.T
    with tusou.open_bundle(root / "all") as search:
        for row, hits in zip(expected, search.search(TEXTS, top_k=30), strict=True):
            order = np.argsort(-row)
            np.testing.assert_allclose(hits.scores, row[order], atol=1e-5)
            assert hits.item_ids[:3] == tuple(f"{n}.jpg#zhc#0" for n in order[:3])
        (found,) = [search.search(image=image_bytes(7, 48, "JPEG"), top_k=1)]
        assert found.item_ids == ("7.jpg#zhc#0",)
        assert found.scores[0] == pytest.approx(1, abs=1e-4)


def test_cached_queries_have_the_vectors_of_new_ones(root: Path) -> None:
    queries = [Query.of_text(text, 5) for text in TEXTS]
    pipeline = SearchPipeline.open(root / "all", device="cpu", cache_size=8)
    first, again = pipeline.search(queries), pipeline.search([*queries[::-1], queries[0]])
    assert (first.cache_hits, again.cache_hits) == (0, 4)
    assert again.hits == (*first.hits[::-1], first.hits[0])


def test_the_manifest_says_how_each_model_reads_an_image(root: Path) -> None:
    manifest = Bundle.open(root / "all").manifest
    assert manifest.preprocessing == (
        "cn_clip: square bicubic resize, then RGB; "
        "siglip: RGB, then square bicubic resize; "
        "metaclip2: RGB, then bicubic resize of the shorter side to 32, crop"
    )
    assert [part.encoder is None for part in manifest.model.members] == [True, False, False]


def test_texts_are_items_too_and_those_that_are_cut_are_counted(root: Path, tmp_path: Path) -> None:
    """Of reused vectors the count is made anew, by the tokenizer of the model."""
    items = tmp_path / "items.jsonl"
    rows = [
        f'{{"id": "t{n}", "text": "{text}"}}\n' for n, text in enumerate([*TEXTS, "red dog " * 9])
    ]
    items.write_text("".join(rows), encoding="utf-8")
    spec = BuildSpec(str(items), str(root / "metaclip2"), workers=1, device="cpu", precision="fp32")
    first = build(spec, tmp_path / "b", NoProgress())
    with items.open("a", encoding="utf-8") as file:
        file.write('{"id": "t9", "text": "裙"}\n')
    again = build(spec, tmp_path / "b", NoProgress())
    assert (first.counts.truncated, again.counts.truncated) == (1, 1)
    assert (first.encoded, again.encoded) == (4, 1)
    manifest = Bundle.open(tmp_path / "b").manifest
    assert manifest.preprocessing == "metaclip2: XLMRobertaTokenizer, 16 tokens"
