"""Evaluation of a bundle: it measures the results of the pipeline that the service runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from drawing import image_bytes
from drawn_items import draw_attributes, write_attributes
from tusou_indexer.build import BuildSpec, build
from tusou_lab.compare.cli import compare as compare_command
from tusou_lab.evaluate.cli import evaluate as evaluate_command
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, search_bundle
from tusou_lab.sweep.prompts import Prompt, QueryVectors
from typer.testing import CliRunner

from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.evaluation.judgments import JudgedQuery, Judgments, read_judgments
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.text.negation import REFUSED_WEIGHT


@pytest.fixture(scope="module")
def bundle(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle") / "b"
    build(BuildSpec(str(pool), str(tiny_model), "IVF8,Flat", workers=1), root, NoProgress())
    return root


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> SearchPipeline:
    return SearchPipeline.open(bundle)


def judgments_of(*texts: str | None) -> Judgments:
    rows = (
        JudgedQuery(line, 70 + line, text, {1000: 1}) for line, text in enumerate(texts, start=1)
    )
    return Judgments(Path("queries.jsonl"), tuple(rows))


def test_results_are_those_of_the_pipeline(
    bundle: Path, queries: Path, pipeline: SearchPipeline
) -> None:
    judgments = read_judgments(queries)
    run = search_bundle(bundle, judgments, BundleSearchSpec(7)).run
    results = pipeline.search([Query.of_text(row.text or "", 7) for row in judgments.rows])
    for row, hits in zip(judgments.rows, results.hits, strict=True):
        assert run.rankings[row.query_id] == hits.item_ids
        np.testing.assert_allclose(run.scores[row.query_id], hits.scores, atol=1e-6)
    header = run.header
    assert header is not None
    assert (header.bundle, header.model) == (pipeline.bundle.version, "tiny.pt")
    assert header.index == f"IVF8,Flat {pipeline.bundle.manifest.index.tuning}"
    assert header.settings == {
        "top_k": 7,
        "interpret": True,
        "prompt": None,
        "precision": pipeline.precision,
    }
    assert {"date", "machine", "tusou", "seconds"} == header.made.keys()


def test_scores_equal_those_of_its_predictions(bundle: Path, queries: Path, tmp_path: Path) -> None:
    scored = evaluate(bundle, queries, spec=BundleSearchSpec(20))
    assert (scored.evaluation.top_k, scored.evaluation.answers_outside_pool) == (20, 0)
    assert scored.evaluation.run is not None
    predictions = tmp_path / "pred.jsonl"
    rows = [{"query_id": query, "item_ids": items} for query, items in scored.run.rankings.items()]
    predictions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = evaluate(predictions, queries, BundleSearchSpec(20, pool=bundle)).evaluation
    assert (again.percent, again.interval) == (
        scored.evaluation.percent,
        scored.evaluation.interval,
    )


def test_index_recall_compares_with_exact_search(
    bundle: Path, queries: Path, pipeline: SearchPipeline
) -> None:
    judgments = read_judgments(queries)
    searched = search_bundle(bundle, judgments, BundleSearchSpec(10))
    texts = pipeline.encode_texts([row.text or "" for row in judgments.rows]).vectors
    best = np.argsort(-(texts @ np.asarray(pipeline.bundle.vectors).T), axis=1, kind="stable")
    for k in (1, 10):
        shared = [
            len(set((1000 + truth[:k]).tolist()) & set(searched.run.rankings[row.query_id][:k])) / k
            for row, truth in zip(judgments.rows, best, strict=True)
        ]
        assert searched.index_recall is not None
        assert searched.index_recall[f"index_recall@{k}"] == pytest.approx(np.mean(shared))


def test_refusals_are_interpreted_as_in_the_service(bundle: Path, pipeline: SearchPipeline) -> None:
    judgments = judgments_of("不带碎花的裙子", "红色连衣裙")
    literal = search_bundle(bundle, judgments, BundleSearchSpec(5, interpret=False)).run
    understood = search_bundle(bundle, judgments, BundleSearchSpec(5)).run
    ask = Query((TextPart("裙子"), TextPart("碎花", -REFUSED_WEIGHT)), 5)
    (hits,) = pipeline.search([ask]).hits
    assert understood.rankings[71] == hits.item_ids  # type: ignore[union-attr]
    assert literal.scores[71] != understood.scores[71]
    assert literal.scores[72] == understood.scores[72]


def test_the_commands_interpret_refusals_unless_switched_off(bundle: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query_id": 1, "query_text": "不带碎花的裙子", "item_ids": [1000]}\n')
    for flags, interpret in (((), True), (("--no-interpret",), False)):
        scored = run_command(evaluate_command, bundle, "--answers", queries, *flags)
        assert scored["run"]["settings"]["interpret"] is interpret
        compared = run_command(compare_command, bundle, bundle, "--answers", queries, *flags)
        assert compared["a"]["settings"]["interpret"] is interpret
        assert compared["b"]["settings"]["interpret"] is interpret


def run_command(command: Callable[..., None], *words: object) -> Any:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_cached_embeddings_are_reused(bundle: Path, tmp_path: Path) -> None:
    spec = BundleSearchSpec(5, cache=tmp_path / "cache")
    judgments = judgments_of("红色连衣裙", "男士皮鞋")
    first = search_bundle(bundle, judgments, spec).run
    (file,) = (tmp_path / "cache").iterdir()
    assert search_bundle(bundle, judgments, spec).run.rankings == first.rankings
    with np.load(file) as arrays:
        np.savez(file, **dict(arrays) | {"vectors": arrays["vectors"][::-1]})
    swapped = search_bundle(bundle, judgments, spec).run
    assert swapped.rankings == {71: first.rankings[72], 72: first.rankings[71]}
    search_bundle(bundle, judgments_of("红色连衣裙", "雨伞"), spec)
    assert list((tmp_path / "cache").iterdir()) == [file]
    with np.load(file) as arrays:
        assert len(arrays["vectors"]) == 3


def test_embeddings_cached_by_a_sweep_are_reused(
    bundle: Path, pipeline: SearchPipeline, tmp_path: Path
) -> None:
    manifest = pipeline.bundle.manifest
    vectors = QueryVectors(tmp_path, find_bundle_weights(manifest))
    swept = vectors.encode_texts(["红色连衣裙"], Prompt.of(*manifest.templates), pipeline.precision)
    (path,) = tmp_path.iterdir()
    before = path.stat()
    run = search_bundle(bundle, judgments_of("红色连衣裙"), BundleSearchSpec(1, cache=tmp_path)).run
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    best = float((np.asarray(pipeline.bundle.vectors) @ swept[0]).max())
    assert run.scores[71] == pytest.approx((best,), abs=1e-6)


def test_every_query_that_the_service_refuses_is_reported(bundle: Path) -> None:
    with pytest.raises(BadDataset) as raised:
        search_bundle(bundle, judgments_of("裙", " ", "长" * 600, None), BundleSearchSpec())
    first, *problems = str(raised.value).split("\n  ")
    assert first == "nothing was searched; problems: 3"
    assert [line.partition(": ")[0] for line in problems] == [
        f"queries.jsonl:{n}" for n in (2, 3, 4)
    ]


def test_top_k_may_not_exceed_the_pool(bundle: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds 300 items"):
        search_bundle(bundle, judgments_of("裙"), BundleSearchSpec(301))


def test_queries_without_judgments_are_refused(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query_id": 1, "query_text": "裙"}\n')
    with pytest.raises(
        BadDataset,
        match=r"queries.jsonl has no correct item for any of its 1 queries, as .* a test split",
    ):
        evaluate(bundle, path)


def test_compares_two_bundles(
    bundle: Path, queries: Path, pool: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from tusou_lab.compare.run import compare

    comparison = compare(bundle, bundle, queries, BundleSearchSpec(5))
    assert (comparison.better, comparison.ties, comparison.top_k) == (None, 40, 5)
    assert comparison.a is not None
    assert comparison.a["bundle"] == SearchPipeline.open(bundle).bundle.version


CAPTIONS = {f"{n}.png": [f"第{n}件裙子", f"{n}号连衣裙"] for n in range(12)}


@pytest.fixture(scope="module")
def flickr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 12 images with two captions each, as the Flickr8k exercise has them."""
    folder = tmp_path_factory.mktemp("flickr")
    (folder / "images").mkdir()
    for n, name in enumerate(CAPTIONS):
        (folder / "images" / name).write_bytes(image_bytes(n))
    rows = [{"image": name, "captions": texts} for name, texts in CAPTIONS.items()]
    (folder / "captions.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def texts_bundle(flickr: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    judgments = read_judgments(f"{flickr}")
    rows = [{"text_id": row.query_id, "text": row.text} for row in judgments.rows]
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(BuildSpec(str(texts), str(tiny_model), workers=1), texts.parent / "b", NoProgress())
    return texts.parent / "b"


def test_images_of_a_dataset_search_a_bundle_of_texts(flickr: Path, texts_bundle: Path) -> None:
    scored = evaluate(texts_bundle, str(flickr), spec=BundleSearchSpec(24))
    evaluation = scored.evaluation
    assert (evaluation.direction, evaluation.queries, evaluation.top_k) == ("image_to_text", 12, 24)
    assert {len(row.grades or {}) for row in scored.judgments.rows} == {2}
    pipeline = SearchPipeline.open(texts_bundle)
    pipeline.load_image_tower()
    data = (flickr / "images" / "7.png").read_bytes()
    (part,) = pipeline.encode_images(to_pixels(open_image(data), pipeline.transform)[None])
    best = np.argsort(-(np.asarray(pipeline.bundle.vectors) @ part.vector), kind="stable")
    ids = [pipeline.bundle.ids.at(key) for key in best.tolist()]
    assert scored.run.rankings["7.png"] == tuple(ids)


def test_a_bundle_supports_one_direction(
    bundle: Path, texts_bundle: Path, queries: Path, flickr: Path
) -> None:
    with pytest.raises(BadDataset, match="asks for images, and the bundle holds texts"):
        search_bundle(texts_bundle, judgments_of("裙"), BundleSearchSpec())
    with pytest.raises(BadDataset, match="asks for texts, and the bundle holds images"):
        search_bundle(bundle, read_judgments(str(flickr), "image_to_text"), BundleSearchSpec())


@pytest.fixture(scope="module")
def goods(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of 300 items with attributes."""
    folder = tmp_path_factory.mktemp("goods")
    write_attributes(folder / "goods.jsonl", 300, 1000)
    spec = BuildSpec(
        str(pool),
        str(tiny_model),
        "IVF8,Flat",
        workers=1,
        attributes=folder / "goods.jsonl",
    )
    build(spec, folder / "b", NoProgress())
    return folder / "b"


def test_only_items_that_pass_a_filter_are_found(goods: Path, queries: Path) -> None:
    text = '{"category": "鞋"}'
    loaded = search_bundle(goods, read_judgments(queries), BundleSearchSpec(7, filter=text))
    passing = {
        1000 + number
        for number, row in enumerate(draw_attributes(300))
        if row.get("category") == "鞋"
    }
    assert loaded.pool_ids == passing
    assert {item for ranking in loaded.run.rankings.values() for item in ranking} <= passing
    assert loaded.index_recall == {"index_recall@1": 1.0}
    assert loaded.run.header is not None
    assert loaded.run.header.settings["filter"] == text


def test_answers_that_do_not_pass_are_counted(goods: Path, queries: Path) -> None:
    spec = BundleSearchSpec(10, filter='{"category": {"$ne": "鞋"}}')
    evaluation = evaluate(goods, queries, spec).evaluation
    rows = draw_attributes(300)[:40]
    assert evaluation.answers_outside_pool == sum(row.get("category") == "鞋" for row in rows)


WRONG_FILTERS = [
    ("{price: 5}", "--filter is not a JSON object"),
    ('{"preis": 5}', "No attribute is called “preis”"),
    ('{"price": {"$gt": 1000}}', "holds 0 items that pass the filter"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_FILTERS)
def test_a_wrong_filter_is_refused(goods: Path, queries: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        search_bundle(goods, read_judgments(queries), BundleSearchSpec(5, filter=text))


def test_a_filter_is_for_bundles(queries: Path, tmp_path: Path) -> None:
    run = tmp_path / "predictions.jsonl"
    run.write_text('{"query_id": 7000, "query_text": "裙", "item_ids": [1000]}\n')
    for command, arguments in (
        (evaluate_command, [str(run)]),
        (compare_command, [str(run), str(run)]),
    ):
        app = typer.Typer()
        app.command()(command)
        shown = CliRunner().invoke(app, [*arguments, "--answers", str(queries), "--filter", "{}"])
        assert shown.exit_code == 1
        assert "--filter is for bundles" in shown.output
