"""A calibrated bundle judges as its service would, and says whose results it favours."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from tusou_indexer.build import BuildSpec, build
from tusou_lab.calibrate.run import calibrate
from tusou_lab.evalset.cli.judge import judge as command
from tusou_lab.evalset.clip_judge import ClipJudge, parse_thresholds
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.judge import JUDGMENTS, PAIRS, judge_set
from tusou_lab.evalset.judgment import Judgment, PairToJudge
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import PooledPair, pool_systems
from tusou_lab.evalset.set_folder import SetFolder
from tusou_lab.toy.dataset import SplitSize, write_toy
from typer.testing import CliRunner, Result

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

DRAWING = Drawing(depth=20, certain=20, ranked=0, unranked=20, seed=1)
TEXTS = ("红色连衣裙", "有没有蓝色的包，不要条纹的", "运动鞋")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index toy images, then calibrate a copy of the bundle on their queries."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, [SplitSize("test", 120, 60)], 5)
    images, attributes = folder / "MR_test_imgs.tsv", folder / "MR_test_attributes.jsonl"
    spec = BuildSpec(str(images), "demo", attributes=attributes, workers=1)
    build(spec, folder / "plain", NoProgress())
    calibrate(folder / "plain", folder / "MR_test_queries.jsonl", out=folder / "calibrated")
    return folder


@pytest.fixture
def folder(tmp_path: Path, bundles: Path) -> SetFolder:
    created = SetFolder(tmp_path / "set")
    queries = [PlannedQuery(n, text, None, "short", "log") for n, text in enumerate(TEXTS, 1)]
    created.create({"domain": {"name": "服饰"}, "seed": 1}, queries, force=False)
    pool_systems(created, bundles / "plain", [bundles / "plain"], DRAWING, NoProgress(), ["title"])
    return created


def run(*words: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def relevance(judgment: Judgment) -> float:
    return float(judgment.reason.removeprefix("relevance "))


def test_the_relevance_of_a_pair_is_that_of_a_search(folder: SetFolder, bundles: Path) -> None:
    pipeline = SearchPipeline.open(bundles / "calibrated")
    least = (0.05, 0.2, 0.4)
    judge = ClipJudge(bundles / "calibrated", least)
    report = judge_set(folder, judge, 1, NoProgress())
    assert report.judged == report.pairs == len(folder.pairs(PAIRS))
    judgments = {(each.query_id, each.item_id): each for each in folder.judgments(JUDGMENTS)}
    compared = 0
    for query_id, hits in enumerate(
        pipeline.search([Query.of_text(text, 100) for text in TEXTS]).hits, 1
    ):
        assert isinstance(hits, Hits)
        for item_id, expected in zip(hits.item_ids, hits.relevance, strict=True):
            if judged := judgments.get((query_id, item_id)):
                assert relevance(judged) == pytest.approx(expected, abs=2e-4)
                compared += 1
    assert compared > 60
    for judged in judgments.values():
        assert judged.grade == sum(relevance(judged) >= each - 1e-4 for each in least)
    assert len(report.grades) > 1


def test_the_judge_reads_refusals_as_the_calibration_did(bundles: Path, tmp_path: Path) -> None:
    answers = bundles / "MR_test_queries.jsonl"
    calibrate(bundles / "plain", answers, out=tmp_path / "literal", interpret=False)
    text = "不要条纹的连衣裙"
    refusing = PlannedQuery(2, text, None, "short", "log")
    pipeline = SearchPipeline.open(tmp_path / "literal")
    (hits,) = pipeline.search([Query.of_text(text, 100, interpret=False)]).hits
    assert isinstance(hits, Hits)
    pairs = [PairToJudge(refusing, PooledPair(2, item, 1.0, {})) for item in hits.item_ids[:20]]
    (judgments,) = ClipJudge(tmp_path / "literal").judge(pairs, 1)
    judged = [relevance(each) for each in judgments]
    assert judged == pytest.approx(hits.relevance[:20], abs=2e-4)
    (others,) = ClipJudge(bundles / "calibrated").judge(pairs, 1)
    assert [relevance(each) for each in others] != pytest.approx(judged, abs=2e-4)


def test_another_calibration_or_threshold_is_another_judge(bundles: Path, tmp_path: Path) -> None:
    first = ClipJudge(bundles / "calibrated")
    assert first.name == ClipJudge(bundles / "calibrated").name
    assert first.name.startswith(f"clip:{Bundle.open(bundles / 'plain').model_name}@")
    assert ClipJudge(bundles / "calibrated", (0.1, 0.2, 0.3)).name != first.name
    lines = (bundles / "MR_test_queries.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "some.jsonl").write_text("".join(lines[:40]), "utf-8")
    calibrate(bundles / "plain", tmp_path / "some.jsonl", out=tmp_path / "other")
    assert ClipJudge(tmp_path / "other").name != first.name


def test_a_bundle_without_a_calibration_says_how_to_make_one(bundles: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"tusou calibrate .*plain --answers FILE"):
        ClipJudge(bundles / "plain")


def test_a_bundle_of_other_items_is_refused(
    folder: SetFolder, bundles: Path, tmp_path: Path
) -> None:
    write_toy(tmp_path / "toy", [SplitSize("test", 40, 20)], 5)
    spec = BuildSpec(str(tmp_path / "toy" / "MR_test_imgs.tsv"), "demo", workers=1)
    build(spec, tmp_path / "small", NoProgress())
    calibrate(tmp_path / "small", tmp_path / "toy" / "MR_test_queries.jsonl")
    with pytest.raises(BadDataset, match=r"does not hold the item .* of the pool"):
        judge_set(folder, ClipJudge(tmp_path / "small"), 1, NoProgress())
    assert not folder.judgments(JUDGMENTS)


def test_a_bundle_of_other_images_under_the_same_ids_is_refused(
    folder: SetFolder, bundles: Path, tmp_path: Path
) -> None:
    lines = (bundles / "MR_test_imgs.tsv").read_text().splitlines()
    ids, images = zip(*(line.split("\t") for line in lines), strict=True)
    rows = zip(ids, (*images[1:], images[0]), strict=True)
    (tmp_path / "moved.tsv").write_text("".join(f"{item}\t{image}\n" for item, image in rows))
    build(BuildSpec(str(tmp_path / "moved.tsv"), "demo", workers=1), tmp_path / "b", NoProgress())
    calibrate(tmp_path / "b", bundles / "MR_test_queries.jsonl")
    refused = run(folder.path, "--judge", "clip", "--bundle", tmp_path / "b")
    assert refused.exit_code == 1
    assert "b has another image for the item" in refused.stderr.replace("\n", " ")
    assert not folder.judgments(JUDGMENTS)


def test_the_command_names_the_systems_that_have_its_model(
    folder: SetFolder, bundles: Path
) -> None:
    options = (folder.path, "--judge", "clip", "--bundle", bundles / "calibrated")
    done = run(*options, "--thresholds", "0.1,0.3,0.6")
    assert done.exit_code == 0, done.output
    assert "note: this judge shares a model with plain" in done.stderr
    again = run(*options, "--thresholds", "0.1,0.3,0.6", "--json")
    facts = json.loads(again.stdout)
    assert (facts["favoured"], facts["judged"]) == (["plain"], 0)
    assert facts["known"] == facts["pairs"] == sum(facts["grades"].values())


def test_the_pooled_bundle_judges_by_default(folder: SetFolder, bundles: Path) -> None:
    refused = run(folder.path, "--judge", "clip")
    assert (refused.exit_code, "has no calibration" in refused.stderr) == (1, True)
    copy = Path(shutil.copytree(bundles / "calibrated", folder.path.parent / "copy"))
    pool_systems(folder, copy, [], DRAWING, NoProgress(), ["title"])
    done = run(folder.path, "--judge", "clip", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["favoured"] == []


@pytest.mark.parametrize("text", ["0.5", "0.5,0.4,0.6", "a,b,c", "0,0.5,1", "0.2,0.5,1.1", ""])
def test_thresholds_ascend(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"--thresholds .*: give the lowest relevance"):
        parse_thresholds(text)


def test_options_of_other_judges_are_refused(folder: SetFolder, bundles: Path) -> None:
    for words in (
        ("--judge", "clip", "--repeats", "2"),
        ("--judge", "clip", "--llm", "http://127.0.0.1:1/v1"),
        ("--judge", "attributes", "--bundle", bundles / "plain"),
    ):
        assert run(folder.path, *words).exit_code == 2
