"""A table end to end: distilled, measured, searched with; other teachers and damage are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibrated import add_calibration, make_calibration
from tusou_indexer.build import BuildSpec, build
from tusou_lab.distil.run import DistilSpec, distil
from tusou_lab.distil.texts import read_texts
from tusou_lab.evaluate.match_pairs import PairSpec, evaluate_pairs
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec

import tusou
from tests.tusou_lab.distil.query_log import write_queries
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import (
    BadDataset,
    BadModel,
    IncompatibleBundle,
    InvalidRequest,
    NotCalibrated,
    OutputExists,
)
from tusou.core.hits import Hits
from tusou.data import open_dataset
from tusou.encoders.student.folder import (
    Student,
    open_student,
    read_table,
    write_record,
    write_table,
)
from tusou.encoders.student.record import RECORD, TABLE
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query


def test_it_gives_the_vectors_of_its_teacher(table: Student, tiny_bundle: Path) -> None:
    texts = ["新款红色沙发", "紫色雨伞"]
    with (
        tusou.open_bundle(tiny_bundle, device="cpu") as teacher,
        tusou.open_bundle(tiny_bundle, device="cpu", query_encoder=table.path) as student,
    ):
        ours, theirs = student.encode_texts(texts), teacher.encode_texts(texts)
        assert student.search(texts[0]).item_ids != ()
    assert ((ours * theirs).sum(axis=1) > 0.99).all()
    # A random model gives all texts nearly one vector: the difference between two is learned, too.
    directions = ours[0] - ours[1], theirs[0] - theirs[1]
    lengths = np.prod([np.linalg.norm(each) for each in directions])
    assert directions[0] @ directions[1] > 0.5 * lengths


def test_the_record_says_what_it_learned_and_retains(table: Student, tiny_bundle: Path) -> None:
    record = open_student(table.path).record
    bundle = Bundle.open(tiny_bundle)
    assert record.teacher.sha256 == bundle.manifest.model.sha256
    assert record.retention is not None
    assert record.retention.bundle == bundle.version
    # 200 texts, less the 10 that are judged, less a tenth.
    assert (record.training.queries, record.retention.texts) == (171, 19)
    assert 0 < record.training.composed <= 50
    (answers,) = record.retention.answers
    assert answers.queries == 20
    difference = answers.student.value - answers.teacher.value
    assert answers.difference.value == pytest.approx(difference)
    for figure in (record.retention.cosine, record.retention.overlap_at_10, answers.teacher):
        assert figure.low <= figure.value <= figure.high
    assert record.tuning is None  # 300 items are searched exactly


def test_judged_and_held_out_texts_are_not_trained_on(log: Path, judged: Path) -> None:
    asked = [query.text for query in open_dataset(str(judged)).queries()]
    texts = read_texts([str(log)], asked, np.random.default_rng(0))
    every = {query.text for query in open_dataset(str(log)).queries()}
    assert {*texts.trained} | {*texts.held_out} == every - {*asked}
    assert {*texts.trained}.isdisjoint(texts.held_out)


def test_evaluate_measures_what_distil_has(
    table: Student, tiny_bundle: Path, judged: Path, tmp_path: Path
) -> None:
    retention = table.record.retention
    assert retention is not None
    cache = tmp_path / "cache"
    spec = BundleSearchSpec(cache=cache)
    teacher = evaluate(tiny_bundle, judged, spec)
    student = evaluate(tiny_bundle, judged, replace(spec, query_encoder=table.path))
    (answers,) = retention.answers
    assert teacher.evaluation.percent["mean_recall"] == pytest.approx(100 * answers.teacher.value)
    assert student.evaluation.percent["mean_recall"] == pytest.approx(100 * answers.student.value)
    assert student.evaluation.run is not None
    assert student.evaluation.run["settings"]["query_encoder"] == table.label
    assert len([*cache.iterdir()]) == 2  # a cache that ignored the encoder would have one


def test_a_bundle_refuses_a_student_of_another_teacher(
    table: Student, pool: Path, second_model: Path, tmp_path: Path
) -> None:
    build(BuildSpec(str(pool), str(second_model), workers=1), tmp_path / "b", NoProgress())
    with pytest.raises(IncompatibleBundle, match=r"student of tiny\.pt .* made with second\.pt"):
        SearchPipeline.open(tmp_path / "b", student=table)


def test_a_bundle_refuses_a_student_taught_under_another_prompt(
    table: Student, pool: Path, tiny_model: Path, tmp_path: Path
) -> None:
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, prompt="一张照片：{query}")
    build(spec, tmp_path / "b", NoProgress())
    with pytest.raises(IncompatibleBundle, match="一张照片"):
        SearchPipeline.open(tmp_path / "b", student=table)


def test_a_student_learns_the_prompt_of_its_bundle(
    log: Path, pool: Path, tiny_model: Path, tmp_path: Path
) -> None:
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, prompt="一张照片：{query}")
    build(spec, tmp_path / "b", NoProgress())
    student = distil(tmp_path / "b", DistilSpec((str(log),), "table", composed=0), tmp_path / "s")
    assert student.record.teacher.templates == ("一张照片：{query}",)
    pipeline = SearchPipeline.open(tmp_path / "b", student=student)
    # The prompt is in the vectors, and not in the tokens.
    assert pipeline.encode_texts(["红色皮鞋"]).tokens == (6,)


@pytest.mark.parametrize("damage", ["truncated", "missing", "changed record", "no record"])
def test_damage_is_refused(table: Student, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "s"
    shutil.copytree(table.path, copy)
    file, record = copy / TABLE, copy / RECORD
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "missing":
        file.unlink()
    elif damage == "changed record":
        record.write_text(record.read_text().replace('"table"', '"tiny"', 1))
    else:
        record.unlink()
    with pytest.raises((BadModel, InvalidRequest), match=str(copy)):
        open_student(copy)


def test_a_table_of_other_numbers_is_refused_by_its_golden_texts(
    table: Student, tiny_bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "s"
    shutil.copytree(table.path, copy)
    read = read_table(copy / TABLE)
    write_table(copy, replace(read, rows=-read.rows, bias=-read.bias))
    forged = write_record(copy, table.record)
    with pytest.raises(IncompatibleBundle, match="golden texts"):
        SearchPipeline.open(tiny_bundle, student=forged)


def test_outputs_are_kept(table: Student, tiny_bundle: Path, log: Path, tmp_path: Path) -> None:
    spec = DistilSpec((str(log),), "table")
    with pytest.raises(OutputExists, match="--force"):
        distil(tiny_bundle, spec, table.path)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="not a student"):
        distil(tiny_bundle, spec, tmp_path, force=True)


def test_too_few_texts_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    few = write_queries(tmp_path / "few.jsonl", ["红色皮鞋"] * 5)
    with pytest.raises(BadDataset, match="1 different texts"):
        distil(tiny_bundle, DistilSpec((str(few),), "table"), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_an_answer_is_that_of_the_pipeline(table: Student, tiny_bundle: Path) -> None:
    pipeline = SearchPipeline.open(tiny_bundle, student=table, cache_size=10)
    query = Query.of_text("新款红色沙发", 5)
    (hits,) = pipeline.search([query]).hits
    vector = pipeline.encode_texts(["新款红色沙发"]).vectors[0]
    vectors = np.asarray(pipeline.bundle.vectors)
    best = np.argsort(-(vectors @ vector))[:5]
    assert hits.item_ids == tuple(pipeline.bundle.ids.at(key) for key in best.tolist())  # type: ignore[union-attr]
    assert (pipeline.backend, pipeline.encoder_name) == ("numpy", "tiny.pt-student-table")


def test_texts_that_are_items_need_the_golden_texts_of_the_teacher(
    table: Student, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["红色皮鞋"]
    expected = SearchPipeline.open(tiny_bundle).encode_items(texts).vectors
    pipeline = SearchPipeline.open(tiny_bundle, student=table)
    np.testing.assert_allclose(pipeline.encode_items(texts).vectors, expected, atol=1e-5)
    golden = Bundle.open(tiny_bundle).golden
    monkeypatch.setattr(Bundle, "golden", (golden[0], -golden[1]))  # as of another machine
    pipeline = SearchPipeline.open(tiny_bundle, student=table)
    with pytest.raises(IncompatibleBundle, match="golden texts"):
        pipeline.encode_items(texts)


def test_the_record_is_one_json_document(table: Student) -> None:
    assert json.loads((table.path / RECORD).read_text())["size"] == "table"


def test_texts_of_a_student_get_no_relevance(
    table: Student, tiny_bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "b")
    add_calibration(tmp_path / "b", make_calibration(64), tmp_path)
    query = Query.of_text("新款红色沙发", 5)
    (judged,) = SearchPipeline.open(tmp_path / "b").search([query]).hits
    pipeline = SearchPipeline.open(tmp_path / "b", student=table)
    asked = [query, replace(query, min_relevance=0.1)]
    plain, refused = pipeline.search(asked).hits
    assert isinstance(judged, Hits)
    assert isinstance(plain, Hits)
    assert len(judged.relevance) == 5
    assert (plain.relevance, plain.matched) == ((), None)
    assert isinstance(refused, NotCalibrated)
    assert "tiny.pt-student-table encodes these" in str(refused)


def test_pairs_are_scored_by_the_student(table: Student, tiny_bundle: Path, tmp_path: Path) -> None:
    ids = Bundle.open(tiny_bundle).ids
    texts = ["新款红色沙发", "紫色雨伞", "雨伞", "沙发"]
    rows = [{"text": text, "item_id": ids.at(n), "label": n % 2} for n, text in enumerate(texts)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = PairSpec(str(path))
    teacher = evaluate_pairs(tiny_bundle, spec)
    student = evaluate_pairs(tiny_bundle, replace(spec, query_encoder=table.path))
    assert student.thresholds != teacher.thresholds
