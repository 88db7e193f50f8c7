"""Judged queries of a retention are searched as the service reads them, or as written."""

import json
from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_lab.distil import cli
from tusou_lab.distil.retention import measure_retention, read_judged
from tusou_lab.distil.run import DistilSpec
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from tusou_lab.toy.dataset import SplitSize, write_toy
from typer import Typer
from typer.testing import CliRunner

from tusou.cli.progress import NoProgress
from tusou.encoders import DEMO
from tusou.encoders.student.folder import Student
from tusou.retrieval.local import open_bundle
from tusou.retrieval.pipeline import SearchPipeline


def test_refusals_are_read_as_in_an_evaluation(tmp_path: Path) -> None:
    """A model that is its own student will do: the queries of both are the same."""
    write_toy(tmp_path / "toy", [SplitSize("test", 60, 10)], 5)
    images, root = tmp_path / "toy" / "MR_test_imgs.tsv", tmp_path / "bundle"
    build(BuildSpec(str(images), DEMO, workers=1, device="cpu"), root, NoProgress())
    texts = [f"{thing}，不要{colour}的" for thing in ("包", "帽子") for colour in ("红色", "白色")]
    with open_bundle(root) as bundle:
        hits = bundle.search(texts, top_k=1)
    rows = (
        {"query_id": n, "query_text": text, "item_ids": each.item_ids}
        for n, (text, each) in enumerate(zip(texts, hits, strict=True))
    )
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    teacher = SearchPipeline.open(root, device="cpu")
    judged = read_judged([str(path)], teacher, root)
    values = []
    for interpret in (True, False):
        record = measure_retention(
            teacher, teacher, ["红色沙发", "台灯"], judged, NoProgress(), interpret=interpret
        )
        (answers,) = record.answers
        assert answers.interpret is interpret
        expected = evaluate(root, str(path), BundleSearchSpec(10, interpret)).evaluation
        values.append(expected.percent["mean_recall"])
        assert 100 * answers.teacher.value == pytest.approx(values[-1], abs=0.01)
    assert values[1] < values[0] == 100


def test_the_command_passes_the_option(
    tiny_bundle: Path, table: Student, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[DistilSpec] = []

    def keep(_root: Path, spec: DistilSpec, _out: Path, **_options: object) -> Student:
        given.append(spec)
        return table

    monkeypatch.setattr("tusou_lab.distil.run.distil", keep)
    app = Typer()
    app.command()(cli.distil)
    words = [str(tiny_bundle), "--queries", str(log), "--size", "table", "--out", str(tmp_path)]
    for flags in ([], ["--no-interpret"]):
        done = CliRunner().invoke(app, [*words, *flags])
        assert done.exit_code == 0, done.output
    assert [spec.interpret for spec in given] == [True, False]
