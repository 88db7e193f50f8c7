"""Search parameters for a student's queries: raised until enough is found, and used to serve."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_lab.distil.tuning import tune_index

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.encoders.student.folder import Student
from tusou.encoders.student.record import StudentTuning
from tusou.indexes.specs import index_spec
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.students import tuned_for


@pytest.fixture(scope="module")
def approximate(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index the pool in four lists, with the least parameters that the build can choose."""
    root = tmp_path_factory.mktemp("approximate") / "b"
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, index="IVF4,Flat", target_recall=0.01)
    build(spec, root, NoProgress())
    return root


def test_parameters_rise_until_the_target_is_found(approximate: Path) -> None:
    bundle = Bundle.open(approximate)
    assert bundle.manifest.index.tuning == "nprobe=1"
    record = bundle.manifest.index.model_copy(update={"target_recall": 0.999})
    bundle.manifest = bundle.manifest.model_copy(update={"index": record})
    drawn = np.random.default_rng(0).normal(size=(200, bundle.dim)).astype(np.float32)
    queries = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    tuning = tune_index(bundle, queries)
    assert tuning is not None
    assert tuning.before < 0.999 <= tuning.index_recall_at_10
    assert tuning.tuning in {"nprobe=2", "nprobe=4"}
    assert (tuning.factory, tuning.queries) == ("IVF4,Flat", 200)


def test_an_index_that_finds_enough_keeps_its_parameters(approximate: Path) -> None:
    bundle = Bundle.open(approximate)
    tuning = tune_index(bundle, np.asarray(bundle.vectors[:20]))
    assert tuning is not None
    assert (tuning.tuning, tuning.before) == ("nprobe=1", tuning.index_recall_at_10)


def test_an_exact_index_needs_nothing(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert tune_index(bundle, np.asarray(bundle.vectors[:20])) is None


def test_the_parameters_are_used_where_the_student_serves(
    approximate: Path, table: Student
) -> None:
    bundle = Bundle.open(approximate)
    tuning = StudentTuning(
        index_sha256=bundle.manifest.files["index.bin"].sha256,
        factory="IVF4,Flat",
        tuning="nprobe=4",
        index_recall_at_10=1.0,
        before=0.5,
        target_recall=0.99,
        queries=10,
    )
    tuned = replace(table, record=table.record.model_copy(update={"tuning": tuning}))
    assert SearchPipeline.open(approximate, student=tuned).index_tuning == "nprobe=4"
    assert SearchPipeline.open(approximate, student=table).index_tuning == "nprobe=1"
    low = tuning.model_copy(update={"tuning": "nprobe=2"})
    lower = replace(table, record=table.record.model_copy(update={"tuning": low}))
    later = bundle.manifest.index.model_copy(update={"tuning": "nprobe=3"})
    assert tuned_for(lower, index_spec(later)).tuning == "nprobe=3"
    other = replace(
        table,
        record=table.record.model_copy(
            update={"tuning": tuning.model_copy(update={"factory": "IVF8,Flat"})}
        ),
    )
    assert SearchPipeline.open(approximate, student=other).index_tuning == "nprobe=1"


def test_a_later_version_is_searched_with_the_parameters_and_a_warning(
    pool: Path, tiny_model: Path, table: Student, tmp_path: Path
) -> None:
    root, lines = tmp_path / "b", pool.read_bytes().splitlines(keepends=True)
    source = tmp_path / "pool.tsv"

    def publish(count: int, factory: str) -> SearchPipeline:
        source.write_bytes(b"".join(lines[:count]))
        spec = BuildSpec(str(source), str(tiny_model), workers=1, index=factory, target_recall=0.01)
        build(spec, root, NoProgress())
        return SearchPipeline.open(root, student=tuned)

    record = StudentTuning(
        index_sha256="0" * 64,
        factory="IVF4,Flat",
        tuning="nprobe=4",
        index_recall_at_10=1.0,
        before=0.5,
        target_recall=0.99,
        queries=10,
    )
    tuned = replace(table, record=table.record.model_copy(update={"tuning": record}))
    first = publish(300, "IVF4,Flat")
    digest = first.bundle.manifest.files["index.bin"].sha256
    own = record.model_copy(update={"index_sha256": digest})
    tuned = replace(table, record=table.record.model_copy(update={"tuning": own}))
    assert SearchPipeline.open(root, student=tuned).student_warning is None
    second = publish(200, "IVF4,Flat")
    assert second.bundle.version != first.bundle.version
    assert second.index_tuning == "nprobe=4"
    assert "another version" in (second.student_warning or "")
    third = publish(200, "IVF2,Flat")
    assert third.index_tuning == "nprobe=1"
    warning = third.student_warning or ""
    assert "(IVF2,Flat) was not tuned" in warning
    assert "repeat `tusou distil`" in warning
