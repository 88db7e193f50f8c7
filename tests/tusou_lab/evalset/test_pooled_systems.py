"""Systems of different kinds in one pool: prompts of one model, and lexical search over titles."""

import json
from pathlib import Path

import pytest
import typer
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evalset.attribute_judge import AttributeJudge
from tusou_lab.evalset.build import build_set
from tusou_lab.evalset.cli.pool import pool as command
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.judge import PAIRS, judge_set
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import pool_systems
from tusou_lab.evalset.set_folder import SetFolder
from tusou_lab.evalset.title_search import open_title_index
from tusou_lab.toy.dataset import SplitSize, write_toy
from typer.testing import CliRunner

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.ids import ItemId
from tusou.retrieval.local import open_bundle
from tusou.text.negation import parse_negation

ITEMS = 80
DRAWING = Drawing(depth=20, certain=10, ranked=5, unranked=5, seed=1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index toy images with titles twice: with and without a prompt."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, [SplitSize("test", ITEMS, 10)], 5)
    images, attributes = folder / "MR_test_imgs.tsv", folder / "MR_test_attributes.jsonl"
    spec = BuildSpec(str(images), "demo", attributes=attributes, workers=1)
    build(spec, folder / "bundle", NoProgress())
    prompted = BuildSpec(
        str(images), "demo", workers=1, prompt="圆形的{query}", reuse=[folder / "bundle"]
    )
    build(prompted, folder / "prompted", NoProgress())
    return folder


@pytest.fixture
def folder(tmp_path: Path, pool: Path) -> SetFolder:
    table = Bundle.open(pool / "bundle").attributes
    assert table is not None
    queries = []
    for number, (kind, _) in enumerate(table.facet("category", limit=4), 1):
        text = f"有没有{kind}，不要红色的" if number == 1 else str(kind)
        where = {"category": kind}
        queries.append(PlannedQuery(number, text, str(kind), "short", "template", where, where))
    created = SetFolder(tmp_path / "set")
    created.create({"domain": {"name": "服饰"}, "seed": 1}, queries, force=False)
    return created


def test_titles_and_another_prompt_are_systems_of_their_own(
    folder: SetFolder, pool: Path, tmp_path: Path
) -> None:
    systems = [pool / "bundle", pool / "prompted"]
    report = pool_systems(folder, systems[0], systems, DRAWING, NoProgress(), ["title"])
    assert report.systems == ("bundle", "prompted", "lexical:title")
    design = folder.pool()
    assert design["systems"]["lexical:title"] == "BM25 of the attribute title"
    assert design["models"]["bundle"] == design["models"]["prompted"] != []
    assert design["models"]["lexical:title"] == []
    pairs = folder.pairs(PAIRS)
    ranks = [
        {(each.query_id, each.item_id): each.ranks[name] for each in pairs if name in each.ranks}
        for name in report.systems
    ]
    assert ranks[0] != ranks[1]
    assert all(count > 0 for count in report.found_by_one.values())
    rows = (pool / "MR_test_attributes.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {row["item_id"]: row["category"] for row in map(json.loads, rows)}
    concepts = {each.query_id: each.concept for each in folder.queries()}
    for (query_id, item_id), rank in ranks[2].items():
        if rank <= 3:  # a title ends with its category
            assert kinds[item_id] == concepts[query_id]
    judge_set(folder, AttributeJudge(Bundle.open(pool / "bundle")), 1, NoProgress())
    built = build_set(folder, tmp_path / "out", NoProgress(), correct_from=3, images=False)
    assert {each.system for each in built.bias} == set(report.systems)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "bundle, prompted, lexical:title" in card


def test_a_lexical_search_ignores_what_a_query_refuses(folder: SetFolder, pool: Path) -> None:
    certain = Drawing(depth=ITEMS, certain=ITEMS, ranked=0, unranked=1, seed=1)
    pool_systems(folder, pool / "bundle", [], certain, NoProgress(), ["title"])
    first = folder.queries()[0]
    found = {str(each.item_id) for each in folder.pairs(PAIRS) if each.ranks and each.query_id == 1}
    rows = (pool / "MR_test_attributes.jsonl").read_text(encoding="utf-8").splitlines()
    titles = {str(row["item_id"]): row["title"] for row in map(json.loads, rows)}
    assert found
    assert first.concept is not None
    shared = {first.concept[place : place + 2] for place in range(len(first.concept) - 1)}
    assert all(any(pair in titles[item] for pair in shared) for item in found)


def test_refusals_are_searched_as_written_with_the_option(folder: SetFolder, pool: Path) -> None:
    words = [str(folder.path), "--bundle", str(pool / "bundle"), "--systems", str(pool / "bundle")]
    words += ["--lexical", "title", "--depth", "20"]
    app = typer.Typer()
    app.command()(command)
    queries = [(each.query_id, each.text) for each in folder.queries()]
    index = open_title_index(Bundle.open(pool / "bundle"), "title")
    ids = Bundle.open(pool / "bundle").ids
    first_ranks = []
    for flags, interpret in (([], True), (["--no-interpret"], False)):
        done = CliRunner().invoke(app, [*words, *flags])
        assert done.exit_code == 0, done.output
        assert folder.pool()["interpret"] is interpret
        ranks = {name: dict[int, ItemId]() for name in ("bundle", "lexical:title")}
        for pair in folder.pairs(PAIRS):
            for name, rank in pair.ranks.items():
                if pair.query_id == queries[0][0]:
                    ranks[name][rank] = pair.item_id
        with open_bundle(pool / "bundle") as bundle:
            expected = bundle.search(queries[0][1], top_k=10, interpret=interpret).item_ids
        assert tuple(ranks["bundle"][rank] for rank in range(1, 11)) == expected
        text = queries[0][1] if not interpret else parse_negation(queries[0][1]).positive  # type: ignore[union-attr]
        found = [ids.at(key) for key in index.search(text, 20)[:10].tolist()]
        assert [ranks["lexical:title"][rank] for rank in range(1, len(found) + 1)] == found
        first_ranks.append(ranks)
    assert first_ranks[0]["bundle"] != first_ranks[1]["bundle"]
    assert first_ranks[0]["lexical:title"] != first_ranks[1]["lexical:title"]


def test_a_lexical_search_of_no_titles_is_refused(folder: SetFolder, pool: Path) -> None:
    def attempt(*titles: str) -> None:
        pool_systems(folder, pool / "bundle", [], DRAWING, NoProgress(), titles)

    with pytest.raises(InvalidRequest, match="--systems, --lexical or both"):
        attempt()
    with pytest.raises(BadDataset, match="no attribute 'name'"):
        attempt("name")
    with pytest.raises(InvalidRequest, match="of type integer, not text"):
        attempt("stock")
    with pytest.raises(BadDataset, match="--lexical: an attribute is given twice"):
        attempt("title", "title")
