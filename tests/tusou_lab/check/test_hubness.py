"""`tusou check BUNDLE --queries`: k-occurrence, its skew and the largest hubs."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer
from tusou_indexer.build import BuildSpec, build
from tusou_lab.check import cli
from tusou_lab.check.hubness import check_bundle, measure_hubness
from tusou_lab.check.page import write_page
from tusou_lab.check.run import CheckReport
from tusou_lab.toy.dataset import SplitSize, write_toy
from typer.testing import CliRunner

from tusou.cli.progress import NoProgress
from tusou.encoders import DEMO
from tusou.evaluation.judgments import read_judgments
from tusou.retrieval.local import open_bundle

app = typer.Typer()
app.command()(cli.check)


@pytest.fixture(scope="module")
def report(tiny_bundle: Path, queries: Path) -> CheckReport:
    return check_bundle(tiny_bundle, queries, NoProgress())


def test_hubness_of_occurrences() -> None:
    hubness = measure_hubness(np.array([0, 3, 0, 1, 0]), queries=4, k=1)
    assert (hubness.items, hubness.largest, hubness.never) == (5, 3, 3)
    assert hubness.occurrences == {0: 3, 1: 1, 3: 1}
    assert hubness.hubs == ((1, 3), (3, 1))
    # mean 0.8, second moment 1.36, third 1.824
    assert hubness.skew == pytest.approx(1.824 / 1.36**1.5)


def test_items_found_equally_often_have_no_skew() -> None:
    assert measure_hubness(np.array([2, 2, 2]), queries=6, k=1).skew == 0


def test_the_hubs_of_a_bundle_are_those_that_its_search_returns(
    report: CheckReport, tiny_bundle: Path, queries: Path
) -> None:
    assert report.hubness is not None
    texts = [row.text for row in read_judgments(queries).rows if row.text is not None]
    with open_bundle(tiny_bundle) as bundle:
        counts = Counter(item for text in texts for item in bundle.search(text, top_k=10).item_ids)
    ranked = report.hubness.ranked
    assert (ranked.queries, ranked.items, ranked.k) == (40, 300, 10)
    assert sum(count * items for count, items in ranked.occurrences.items()) == 400
    best = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:10]
    assert list(ranked.hubs) == best


def test_hubs_are_a_finding_with_their_images(report: CheckReport) -> None:
    """A model of random weights puts all texts close together: a few images are near to all."""
    (finding,) = report.findings
    assert report.hubness is not None
    item_id, count = report.hubness.ranked.hubs[0]
    assert (finding.severity, finding.code) == ("warning", "hubs")
    assert finding.examples[0] == f"{item_id}: {count} of 40 queries"
    assert [image.row.item_id for image in report.images] == [
        str(hub) for hub, _ in report.hubness.ranked.hubs
    ]


def test_the_page_shows_the_hubs(report: CheckReport, tmp_path: Path) -> None:
    assert report.hubness is not None
    write_page(tmp_path / "check.html", report)
    page = (tmp_path / "check.html").read_text()
    assert page.count("<figcaption>") == len(report.images)
    assert f"skew {report.hubness.ranked.skew:.2f}" in page
    assert "Queries that find an item" in page


def test_the_command_prints_hubness(tiny_bundle: Path, queries: Path) -> None:
    result = CliRunner().invoke(app, [str(tiny_bundle), "--queries", str(queries), "--json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed["hubness"]["ranked"]["queries"] == 40
    assert printed["hubness"]["plain"] is None
    assert printed["findings"][0]["code"] == "hubs"
    text = CliRunner().invoke(app, [str(tiny_bundle), "--queries", str(queries)]).stdout
    assert text.startswith("ranked: k-occurrence@10 of 300 items in 40 queries: skew ")


@pytest.mark.parametrize("with_queries", [True, False])
def test_queries_belong_to_a_bundle(
    tiny_bundle: Path, pool: Path, queries: Path, with_queries: bool
) -> None:
    args = [str(pool), "--queries", str(queries)] if with_queries else [str(tiny_bundle)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1
    assert "--queries belongs to a bundle" in result.output


def test_hubs_are_those_of_refusals_as_written_with_the_option(tmp_path: Path) -> None:
    write_toy(tmp_path / "toy", [SplitSize("test", 60, 10)], 5)
    images, root = tmp_path / "toy" / "MR_test_imgs.tsv", tmp_path / "bundle"
    build(BuildSpec(str(images), DEMO, workers=1, device="cpu"), root, NoProgress())
    texts = [f"{thing}，不要{colour}的" for thing in ("包", "帽子") for colour in ("红色", "白色")]
    rows = ({"query_id": n, "query_text": text} for n, text in enumerate(texts))
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    hubs = []
    for flags, interpret in (([], True), (["--no-interpret"], False)):
        words = [str(root), "--queries", str(path), *flags, "--json"]
        hubness = json.loads(CliRunner().invoke(app, words).stdout)["hubness"]
        assert hubness["interpret"] is interpret
        with open_bundle(root) as bundle:
            counts = Counter(
                item
                for text in texts
                for item in bundle.search(text, top_k=10, interpret=interpret).item_ids
            )
        hubs.append(dict(hubness["ranked"]["hubs"]))
        assert sorted(hubs[-1].values()) == sorted(counts.values())[-10:]
        assert hubs[-1].items() <= counts.items()
    assert hubs[0] != hubs[1]
    refused = CliRunner().invoke(app, [str(tmp_path), "--no-interpret"])
    assert refused.exit_code == 1
    assert "--no-interpret belongs to --queries" in refused.output
