"""A set from its plan to its files, on drawn products whose attributes are the truth."""

import json
import random
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evalset.attribute_judge import AttributeJudge
from tusou_lab.evalset.build import build_set
from tusou_lab.evalset.domain import Domain
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.final_grades import final_grades
from tusou_lab.evalset.judge import JUDGMENTS, PAIRS, judge_set
from tusou_lab.evalset.judgment import Judgment
from tusou_lab.evalset.plan import plan_queries
from tusou_lab.evalset.pool import open_pool, pool_systems
from tusou_lab.evalset.set_card import CARD
from tusou_lab.evalset.set_folder import Guideline, SetFolder
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from tusou_lab.toy.dataset import SplitSize, write_toy

from tusou.attributes.filters import parse_filter
from tusou.bundle.bundle import Bundle
from tusou.bundle.revise import revise
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InputError, InvalidRequest, OutputExists

DRAWING = Drawing(depth=30, certain=5, ranked=8, unranked=30, seed=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, [SplitSize("test", 300, 10)], 5)
    images, attributes = folder / "MR_test_imgs.tsv", folder / "MR_test_attributes.jsonl"
    spec = BuildSpec(str(images), "demo", attributes=attributes, workers=1)
    build(spec, folder / "bundle", NoProgress())
    return folder / "bundle"


@pytest.fixture
def folder(tmp_path: Path, bundle: Path) -> SetFolder:
    source = {"concepts": "category", "attributes": ["tags"], "least_items": 4}
    domain = Domain.model_validate({"name": "服饰", "from_pool": source, "budget": 25})
    planned = plan_queries(domain, Bundle.open(bundle).attributes, 3)
    created = SetFolder(tmp_path / "set")
    plan = {"domain": domain.model_dump(), "seed": 3}
    created.create(plan, planned.queries, force=False)
    return created


def judged(folder: SetFolder, bundle: Path, *others: Path) -> SetFolder:
    pool_systems(folder, bundle, [bundle, *others], DRAWING, NoProgress())
    judge_set(folder, AttributeJudge(Bundle.open(bundle)), 1, NoProgress())
    return folder


def test_estimates_of_a_built_set_are_near_the_truth(
    folder: SetFolder, bundle: Path, tmp_path: Path
) -> None:
    judged(folder, bundle)
    report = build_set(folder, tmp_path / "out", NoProgress(), correct_from=3)
    assert (report.queries, report.unjudged, report.images) == (25, 0, 300)
    scored = evaluate(bundle, tmp_path / "out", BundleSearchSpec(top_k=10))
    table = Bundle.open(bundle).attributes
    assert table is not None
    right = {
        each.query_id: set(table.mask(parse_filter(each.wanted or {})).nonzero()[0].tolist())
        for each in folder.queries()
    }
    ids = Bundle.open(bundle).ids
    keys = {ids.at(key): key for key in range(len(ids))}
    found = {
        query: sum(keys[item] in right[query] for item in items)
        for query, items in scored.run.rankings.items()
    }
    precision = 100 * sum(found.values()) / 10 / len(found)
    recall = 100 * sum(found.values()) / sum(map(len, right.values()))
    interval = scored.evaluation.interval
    low, high = interval["estimated_precision@10"]
    assert low <= precision <= high
    low, high = interval["estimated_recall@10"]
    assert low <= recall <= high
    assert scored.evaluation.percent["judged@5"] == 100
    assert 30 < scored.evaluation.percent["judged@10"] < 100


def test_the_files_say_how_they_were_made(folder: SetFolder, bundle: Path, tmp_path: Path) -> None:
    queries = folder.queries()
    other = tmp_path / "other.trec"
    items = [(each.query_id, 30_000_000 + n, n) for each in queries for n in range(20)]
    other.write_text("".join(f"{query} Q0 {item} {n} {-n} x\n" for query, item, n in items))
    judged(folder, bundle, other)
    build_set(folder, tmp_path / "out", NoProgress(), correct_from=3, images=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "MR_test_queries.jsonl",
        "README.md",
        "judgments.prels",
        "judgments.qrels",
    ]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# 服饰" in card
    assert "300 images" in card
    assert "By author:\n  template 25." in card
    assert "MR_test_imgs.tsv" not in card
    assert re.search(r"^\| bundle \| \d+\.\d\d % \| \d+\.\d\d % \|$", card, re.MULTILINE)
    rows = [
        json.loads(line)
        for line in (tmp_path / "out" / "MR_test_queries.jsonl").read_text().splitlines()
    ]
    assert {row["query_id"] for row in rows} == set(range(1, 26))
    with pytest.raises(OutputExists):
        build_set(folder, tmp_path / "out", NoProgress())


def test_the_card_names_the_judges_their_agreement_and_the_licences(
    folder: SetFolder, bundle: Path, tmp_path: Path
) -> None:
    judged(folder, bundle)
    build_set(folder, tmp_path / "one", NoProgress(), correct_from=3, images=False)
    card = (tmp_path / "one" / CARD).read_text()
    count = len(folder.pairs(PAIRS))
    assert f"`attributes` {count:,} pairs" in card
    assert "No pair was graded twice" in card
    assert "**Licences.** Not stated." in card
    by_person = [
        replace(each, judge="person:李")
        for each in folder.judgments(JUDGMENTS)
        if each.query_id < 4
    ]
    by_clip = [replace(each, judge="clip", grade=0) for each in by_person]
    with folder.writing() as file:
        file.append(map(asdict, [*by_person, *by_clip]))
    options = {
        "judge": "attributes",
        "correct_from": 3,
        "images": False,
        "licence": "图片 CC0，文本 CC BY 4.0",
    }
    build_set(folder, tmp_path / "two", NoProgress(), **options)
    card = (tmp_path / "two" / CARD).read_text()
    assert f"`person:李` {len(by_person)} pairs" in card
    assert "The grades of people count first, then only those of `attributes`." in card
    row = f"| attributes, person:李 | {len(by_person)} | 100.0 % | 1.000 | 1.000 | 1.000 |"
    assert row in card
    assert "**Licences.** 图片 CC0，文本 CC BY 4.0" in card


def test_judged_shares_stand_beside_the_metrics_where_all_drawn_items_are_correct(
    folder: SetFolder, bundle: Path, tmp_path: Path
) -> None:
    judged(folder, bundle)
    path = folder.path / "judgments.jsonl"
    lines = [line for line in path.read_text().splitlines(keepends=True) if '"grade": 3' in line]
    path.write_text("".join(lines))
    build_set(folder, tmp_path / "out", NoProgress(), correct_from=3, images=False)
    percent = evaluate(bundle, tmp_path / "out", BundleSearchSpec(top_k=10)).evaluation.percent
    assert 0 < percent["judged@10"] < 100


def test_judging_goes_on_and_repeats_nothing_after_a_kill(folder: SetFolder, bundle: Path) -> None:
    judged(folder, bundle)
    path = folder.path / "judgments.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:40]) + lines[40][:17])  # a kill cut a line off
    report = judge_set(folder, AttributeJudge(Bundle.open(bundle)), 1, NoProgress())
    assert (report.known, report.judged) == (40, len(lines) - 40)
    again = [(each.query_id, each.item_id) for each in folder.judgments(JUDGMENTS)]
    assert len(set(again)) == len(again) == len(lines)
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_one_process_judges_at_a_time(folder: SetFolder) -> None:
    with folder.writing(), pytest.raises(InputError, match="another process judges"):
        folder.writing().__enter__()


def test_a_system_of_another_pool_is_refused(
    folder: SetFolder, bundle: Path, tmp_path: Path
) -> None:
    run = tmp_path / "other.trec"
    run.write_text("".join(f"{each.query_id} Q0 99 1 1 x\n" for each in folder.queries()))
    with pytest.raises(BadDataset, match="the item 99 of query 1 is not in the pool"):
        pool_systems(folder, bundle, [bundle, run], DRAWING, NoProgress())
    run.write_text("1 Q0 30000001 1 1 x\n")
    with pytest.raises(BadDataset, match="other has no results for query 2"):
        pool_systems(folder, bundle, [run], DRAWING, NoProgress())
    with pytest.raises(BadDataset, match="run `tusou evalset pool` first"):
        folder.pairs(PAIRS)


def test_a_plan_with_judgments_is_never_replaced(folder: SetFolder, bundle: Path) -> None:
    judged(folder, bundle)
    with pytest.raises(OutputExists, match="holds judgments"):
        folder.create({}, [], force=True)


def test_a_plan_that_is_replaced_takes_its_drawing_along(folder: SetFolder, bundle: Path) -> None:
    pool_systems(folder, bundle, [bundle], DRAWING, NoProgress())
    folder.keep_guideline(Guideline(1, "小模型@0", "颜色要对"))
    queries = folder.queries()
    with pytest.raises(OutputExists, match="pass --force"):
        folder.create(folder.plan(), queries, force=False)
    folder.create(folder.plan(), queries[:3], force=True)
    assert len(folder.queries()) == 3
    assert folder.guidelines("小模型@0") == {}
    with pytest.raises(BadDataset, match="run `tusou evalset pool` first"):
        folder.pairs(PAIRS)


def test_people_count_before_a_judge_and_the_middle_one_of_several() -> None:
    judgments = [
        Judgment(1, "a.jpg", "attributes", 0),
        Judgment(1, "b.jpg", "attributes", 3),
        Judgment(1, "c.jpg", "attributes", None),
        Judgment(1, "a.jpg", "person:李", 3),
        Judgment(1, "a.jpg", "person:王", 2),
        Judgment(1, "a.jpg", "person:张", 2),
    ]
    assert final_grades(judgments, None) == {(1, "a.jpg"): 2, (1, "b.jpg"): 3}
    two = [*judgments, Judgment(1, "b.jpg", "clip", 0)]
    with pytest.raises(InvalidRequest, match="choose one with --judge"):
        final_grades(two, None)
    assert final_grades(two, "clip")[1, "b.jpg"] == 0
    with pytest.raises(InvalidRequest, match="people count in any case; name the judge"):
        final_grades(two, "person:李")
    with pytest.raises(BadDataset, match="nothing is judged yet"):
        final_grades(judgments[2:3], None)


def test_pairs_without_a_grade_are_taken_for_the_others_of_their_kind(
    folder: SetFolder, bundle: Path, tmp_path: Path
) -> None:
    judged(folder, bundle)
    build_set(folder, tmp_path / "all", NoProgress(), correct_from=3, images=False)
    whole = evaluate(bundle, tmp_path / "all", BundleSearchSpec(top_k=10)).evaluation.percent
    path = folder.path / "judgments.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    draw = random.Random(3)
    path.write_bytes(b"".join(draw.sample(lines, 2 * len(lines) // 3)))
    report = build_set(folder, tmp_path / "some", NoProgress(), correct_from=3, images=False)
    assert report.unjudged == len(lines) - 2 * len(lines) // 3
    some = evaluate(bundle, tmp_path / "some", BundleSearchSpec(top_k=10)).evaluation
    low, high = some.interval["estimated_precision@10"]
    assert low <= whole["estimated_precision@10"] <= high
    assert some.percent["estimated_precision@10"] == pytest.approx(
        whole["estimated_precision@10"], rel=0.15
    )


def test_counts_are_of_the_pairs_that_are_drawn_now(folder: SetFolder, bundle: Path) -> None:
    judged(folder, bundle)
    smaller = replace(DRAWING, ranked=2, unranked=3)
    report = pool_systems(folder, bundle, [bundle], smaller, NoProgress())
    assert report.no_longer_drawn > 100
    again = judge_set(folder, AttributeJudge(Bundle.open(bundle)), 1, NoProgress())
    assert (again.pairs, again.known, again.judged) == (report.pairs, report.pairs, 0)


def test_another_version_of_the_bundle_is_not_judged(
    folder: SetFolder, bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    pool_systems(folder, copy, [copy], DRAWING, NoProgress())
    version = Bundle.open(copy).version
    revise(copy, lambda manifest: manifest.model_copy(update={"tool": "another"}))
    assert Bundle.open(copy).version != version
    assert open_pool(folder).version == version
    judge_set(folder, AttributeJudge(open_pool(folder)), 1, NoProgress())
    with pytest.raises(BadDataset, match="holds judgments of version"):
        pool_systems(folder, copy, [copy], DRAWING, NoProgress())
    shutil.rmtree(copy / version)
    with pytest.raises(BadDataset, match="no longer has the version"):
        open_pool(folder)
