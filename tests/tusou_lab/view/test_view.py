"""The page of a search without answers: queries, images and texts, from files and bundles."""

import json
import re
from pathlib import Path

import pytest
from tusou_lab.view.cli import view as command
from tusou_lab.view.run import ViewSpec, write_view
from typer import Typer
from typer.testing import CliRunner

from tusou.core.errors import BadDataset, InvalidRequest, OutputExists
from tusou.retrieval.local import open_bundle

ROWS = [
    {"query_id": n, "query_text": f"<b>{n}</b>号裙", "item_ids": [1000 + n, 1001 + n]}
    for n in range(5)
]


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_predictions_are_shown_with_their_texts_and_images(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    source, out = write_rows(tmp_path / "pred.jsonl", ROWS), tmp_path / "page.html"
    spec = ViewSpec(source, bundles=(tiny_bundle,), count=3)
    assert write_view(spec, out) == 3
    page = out.read_text("utf-8")
    assert page.count('<img src="data:image/webp;base64,') == 6
    assert "&lt;b&gt;2&lt;/b&gt;号裙" in page
    assert "<b>" not in page
    assert "3号裙" not in page
    with pytest.raises(OutputExists):
        write_view(spec, out)


def test_a_bundle_is_searched_for_queries_without_answers(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bare = [{"query_id": row["query_id"], "query_text": "红色裙子"} for row in ROWS]
    queries, out = write_rows(tmp_path / "test.jsonl", bare), tmp_path / "page.html"
    app = Typer()
    app.command()(command)
    words = [str(tiny_bundle), "--queries", str(queries), "--out", str(out), "--top-k", "4"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}: 5 queries\n"
    page = out.read_text("utf-8")
    assert page.count('<img src="data:image/webp;base64,') == 20
    assert page.count('<span class="score">') == 20


def test_what_is_missing_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "pred.jsonl", ROWS), tmp_path / "page.html"
    with pytest.raises(InvalidRequest, match="--bundle"):
        write_view(ViewSpec(source), out)
    with pytest.raises(InvalidRequest, match="--queries"):
        write_view(ViewSpec(tiny_bundle), out)
    other = write_rows(tmp_path / "other.jsonl", [{"query_id": 1, "item_ids": [5]}])
    with pytest.raises(BadDataset, match=r"no item of .*other.jsonl is in "):
        write_view(ViewSpec(other, bundles=(tiny_bundle,)), out)
    assert not out.exists()


def test_refusals_are_searched_as_written_with_the_option(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    text = "不带碎花的裙子"
    queries = write_rows(tmp_path / "test.jsonl", [{"query_id": 1, "query_text": text}])
    app = Typer()
    app.command()(command)
    pages = []
    for flags, interpret in (([], True), (["--no-interpret"], False)):
        out = tmp_path / f"{interpret}.html"
        words = [str(tiny_bundle), "--queries", str(queries), "--out", str(out), "--top-k", "20"]
        done = CliRunner().invoke(app, [*words, *flags])
        assert done.exit_code == 0, done.output
        with open_bundle(tiny_bundle) as bundle:
            expected = bundle.search(text, top_k=20, interpret=interpret)
        page = out.read_text("utf-8")
        shown = re.findall(r"\b(1[0-2]\d\d)\b", re.sub(r'src="[^"]*"', "", page))
        assert list(dict.fromkeys(map(int, shown))) == list(expected.item_ids)
        pages.append(page)
    assert pages[0] != pages[1]
