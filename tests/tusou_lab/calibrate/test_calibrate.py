"""`tusou calibrate`: what it searches, fits, refuses and publishes."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.rerank_changes import set_vectors
from tusou_indexer.stage_changes import change_stages, set_feedback
from tusou_lab.calibrate.cli import calibrate as command
from tusou_lab.calibrate.run import calibrate, fit_calibration
from tusou_lab.calibrate.samples import average_items, judge_answers
from typer.testing import CliRunner, Result

from tusou.bundle.bundle import Bundle
from tusou.bundle.stages import CALIBRATION
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset
from tusou.core.hits import Hits
from tusou.encoders import DEMO
from tusou.evaluation.judgments import read_judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

TEXTS = [f"{n}号红色碎花{thing}" for n in range(15) for thing in ("吊带裙", "不带拉链的包")]


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def answers(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Judge the first and third items of every second query right, else an item far down."""
    pipeline = SearchPipeline.open(tiny_bundle)
    rows = []
    for number, hits in enumerate(pipeline.search([Query.of_text(t, 200) for t in TEXTS]).hits):
        assert isinstance(hits, Hits)
        right = hits.item_ids[0:3:2] if number % 2 else hits.item_ids[150:151]
        rows.append({"query_id": number, "query_text": TEXTS[number], "item_ids": right})
    rows.append({"query_id": 99, "query_text": "不在图库中", "item_ids": [5]})
    return write(tmp_path_factory.mktemp("answers") / "queries.jsonl", rows)


def write(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def run_command(*words: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_version_is_published_that_gives_what_was_fitted(bundle: Path, answers: Path) -> None:
    before = Bundle.open(bundle)
    fitted, published = calibrate(bundle, answers, kind="logistic")
    assert (fitted.queries, fitted.skipped) == (30, 1)
    assert Bundle.open(bundle).version == published.version != before.version
    assert published.calibration == fitted.content
    assert published.manifest.stages.calibration == fitted.record
    changed = {
        name
        for name, record in published.manifest.files.items()
        if before.manifest.files.get(name) != record
    }
    assert changed == {CALIBRATION}
    pipeline = SearchPipeline.open(bundle)
    (hits,) = pipeline.search([Query.of_text(TEXTS[2], 10)]).hits
    assert isinstance(hits, Hits)
    vector = pipeline.encode_texts([TEXTS[2]]).vectors[0]
    margin = np.array(hits.scores) - vector @ np.asarray(published.vectors).mean(axis=0)
    weights, table = (
        fitted.content.curves["retrieve"].hit,
        {
            "score": np.array(hits.scores),
            "margin": margin,
            "best": np.full(10, hits.scores[0]),
        },
    )
    sums = weights.intercept + sum(
        weight * table[name] for name, weight in weights.weights.items() if name in table
    )
    own = np.minimum(1 / (1 + np.exp(-sums)), hits.answer_relevance)
    np.testing.assert_allclose(hits.relevance, np.minimum.accumulate(own), atol=2e-6)


def test_removed_items_are_as_if_they_had_never_been_there(bundle: Path, answers: Path) -> None:
    pipeline = SearchPipeline.open(bundle)
    rows = read_judgments(answers).rows[:30]
    judgments = replace(read_judgments(answers), rows=rows)
    queries = [Query.of_text(text, 10, interpret=False) for text in TEXTS]
    queries = [replace(query, adjust=False, rerank=False) for query in queries]
    vectors = pipeline.encode_texts(TEXTS).vectors
    mean = average_items(pipeline.bundle.vectors)
    judged = judge_answers(pipeline, judgments, queries, vectors, mean, NoProgress())
    stored = np.asarray(pipeline.bundle.vectors)
    for row, vector, answer in zip(rows, vectors, judged, strict=True):
        right = [pipeline.bundle.key(str(item)) for item in row.correct]
        others = np.delete(stored, right, axis=0)
        scores = -np.sort(-(others @ vector))[:10]
        np.testing.assert_allclose(answer.absent.ranked.cosines, scores, atol=1e-5)
        means = [float(each.mean(axis=0) @ vector) for each in (stored, others)]
        assert [each.ranked.pool_cosine for each in answer.both] == pytest.approx(means, abs=1e-6)
        assert not answer.absent.right.any()
    assert [answer.present.right.tolist()[:3] for answer in judged[:2]] == [[0, 0, 0], [1, 0, 1]]


def test_the_current_version_stays_where_another_bundle_is_written(
    bundle: Path, answers: Path, tmp_path: Path
) -> None:
    before = Bundle.open(bundle).version
    _, published = calibrate(bundle, answers, tmp_path / "new")
    assert Bundle.open(bundle).version == before
    assert Bundle.open(tmp_path / "new").version == published.version
    published.verify()


def test_a_bundle_that_adjusts_has_curves_for_both(bundle: Path, answers: Path) -> None:
    change_stages(bundle, [set_feedback("3:0.4")])
    fitted, published = calibrate(bundle, answers)
    assert list(fitted.content.curves) == ["retrieve", "adjust"]
    assert published.manifest.stages.names == ("feedback", "calibration")


def test_a_bundle_that_reranks_has_curves_for_reranked_hits(
    bundle: Path, answers: Path, pool: Path, tmp_path: Path
) -> None:
    build(BuildSpec(str(pool), DEMO, workers=1), tmp_path / "larger", NoProgress())
    (tmp_path / "vectors").mkdir()
    change = set_vectors(Bundle.open(bundle), tmp_path / "larger", tmp_path / "vectors")
    change_stages(bundle, [change])
    fitted, published = calibrate(bundle, answers)
    assert list(fitted.content.curves) == ["retrieve", "rerank"]
    assert published.manifest.stages.names == ("rerank", "calibration")
    pipeline = SearchPipeline.open(bundle)
    query = Query.of_text(TEXTS[2], 10)
    reranked, plain = pipeline.search([query, replace(query, rerank=False)]).hits
    assert isinstance(reranked, Hits)
    assert isinstance(plain, Hits)
    assert (reranked.rerank, plain.rerank) == ("complete", None)
    for hits in (reranked, plain):
        assert len(hits.relevance) == 10
        assert list(hits.relevance) == sorted(hits.relevance, reverse=True)
    cut = replace(query, min_relevance=reranked.relevance[4])
    (shorter,) = pipeline.search([cut]).hits
    count = sum(relevance >= reranked.relevance[4] for relevance in reranked.relevance)
    assert shorter.item_ids[:10] == reranked.item_ids[:count]  # type: ignore[union-attr]


def test_images_calibrate_a_bundle_of_texts(tiny_model: Path, pool: Path, tmp_path: Path) -> None:
    rows = [{"text_id": n, "text": f"第{n}件红色碎花吊带裙"} for n in range(60)]
    source = write(tmp_path / "texts.jsonl", rows)
    build(BuildSpec(str(source), str(tiny_model)), tmp_path / "b", NoProgress())
    judgments = [{"image_id": 1000 + n, "text_ids": list(range(n, 60, 12))} for n in range(12)]
    answers = write(tmp_path / "judgments.tr.jsonl", judgments)
    fitted = fit_calibration(tmp_path / "b", answers, pool=pool)
    assert (fitted.content.query_kind, fitted.queries) == ("images", 12)
    with pytest.raises(BadDataset, match="asks for images"):
        fit_calibration(
            tmp_path / "b",
            write(
                tmp_path / "q.jsonl",
                [{"query_id": n, "query_text": "裙", "item_ids": [1]} for n in range(12)],
            ),
        )


def test_answers_that_cannot_be_fitted_are_refused(bundle: Path, tmp_path: Path) -> None:
    far = [{"query_id": n, "query_text": text, "item_ids": []} for n, text in enumerate(TEXTS)]
    with pytest.raises(BadDataset, match="0 queries have a right item"):
        fit_calibration(bundle, write(tmp_path / "far.jsonl", far))
    pipeline = SearchPipeline.open(bundle)
    last = [
        hits.item_ids[-1:]
        for hits in pipeline.search(  # type: ignore[union-attr]
            [Query.of_text(text, 300) for text in TEXTS]
        ).hits
    ]
    missed = [{**row, "item_ids": items} for row, items in zip(far, last, strict=True)]
    with pytest.raises(BadDataset, match="nothing to fit"):
        fit_calibration(bundle, write(tmp_path / "missed.jsonl", missed))
    everything = [{**row, "item_ids": list(range(1000, 1300))} for row in far]
    with pytest.raises(BadDataset, match="all items are right"):
        fit_calibration(bundle, write(tmp_path / "all.jsonl", everything))


def test_the_command_reports_and_notes_what_was_left_out(bundle: Path, answers: Path) -> None:
    result = run_command(bundle, "--answers", answers, "--kind", "isotonic")
    assert result.exit_code == 0, result.output
    for text in ("AUROC, right items in the pool or removed", "isotonic on 30 queries", "note: 1 "):
        assert text in result.output
    report = json.loads(run_command(bundle, "--answers", answers, "--json").stdout)
    figures = Bundle.open(bundle).calibration
    assert figures is not None
    assert report["auroc"] == figures.figures.auroc.model_dump()
    assert report["thresholds"] == {"retrieve": figures.curves["retrieve"].threshold}
    assert (report["queries"], report["skipped"]) == (30, 1)


def test_refusals_are_searched_as_written_with_the_option(bundle: Path, answers: Path) -> None:
    subtracted = fit_calibration(bundle, answers, kind="logistic")
    result = run_command(
        bundle, "--answers", answers, "--kind", "logistic", "--no-interpret", "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["interpret"] is False
    literal = Bundle.open(bundle).calibration
    assert literal is not None
    assert (literal.interpret, subtracted.content.interpret) == (False, True)
    curves = [each.curves["retrieve"].hit for each in (subtracted.content, literal)]
    assert "refused" in curves[0].weights
    assert "refused" not in curves[1].weights
    pipeline = SearchPipeline.open(bundle)
    queries = [Query.of_text(TEXTS[1], 10, interpret=interpret) for interpret in (False, True)]
    relevances = [hits.relevance for hits in pipeline.search(queries).hits]  # type: ignore[union-attr]
    assert [len(each) for each in relevances] == [10, 0]
