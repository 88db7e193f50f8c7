"""`tusou report`: one page without network, its twin, and what they say."""

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
import typer
from fontTools.ttLib import TTFont
from PIL import Image
from tusou_lab.evaluate.export import save
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import LiveSpec
from tusou_lab.report.build import ReportSpec
from tusou_lab.report.cli import report as command
from tusou_lab.report.run import Inputs, make_report
from tusou_lab.sweep.output import claim, write
from tusou_lab.sweep.run import SweepSpec, sweep
from typer.testing import CliRunner

from tusou.core.errors import InvalidRequest, OutputExists

TITLE = "<b>实验</b> & 报告"


class Page(HTMLParser):
    """What a browser would fetch, and the text that it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}
        ]

    def handle_data(self, data: str) -> None:
        self.shown += data


@pytest.fixture(scope="module")
def folder(tiny_bundle: Path, queries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a run, a run of the other direction, a sweep, and the report of all of them."""
    folder = tmp_path_factory.mktemp("report")
    scored = evaluate(tiny_bundle, queries, spec=LiveSpec())
    save(folder / "forward.jsonl", scored.run, scored.answers)
    captions = [{"item_id": 1000 + n, "text_ids": [7000 + n]} for n in range(10)]
    found = [
        {"item_id": 1000 + n, "text_ids": [7000 + (n + step) % 40 for step in range(10)]}
        for n in range(10)
    ]
    for name, rows in (("captions", captions), ("backward", found)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    kept = claim(folder / "sweep", force=False)
    spec = SweepSpec(pools=(50, 100), factories=("Flat",), precisions=("fp32",))
    write(folder / "sweep", sweep(tiny_bundle, queries, spec, kept))
    inputs = Inputs(
        (folder / "forward.jsonl", folder / "backward.jsonl"),
        (str(queries), str(folder / "captions.jsonl")),
        (tiny_bundle,),
        folder / "sweep",
    )
    make_report(inputs, ReportSpec(TITLE, "zh", 3), folder / "out.html")
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "out.html").read_text("utf-8")


@pytest.fixture(scope="module")
def twin(folder: Path) -> str:
    return (folder / "out.md").read_text("utf-8")


def test_needs_no_network(html: str) -> None:
    page = Page(html)
    assert [link for link in page.links if not link.startswith(("data:", "#"))] == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "default-src 'none'" in html
    assert set(re.findall(r"url\(([^;)#]+)", html)) == {"data:font/woff"}


def test_every_letter_of_the_page_is_in_its_font(html: str) -> None:
    font = re.search(r"data:font/woff;base64,([A-Za-z0-9+/=]+)", html)
    assert font
    with TTFont(BytesIO(b64decode(font[1]))) as opened:
        known = set(opened.getBestCmap())
    shown = {ord(letter) for letter in Page(html).shown if letter > "\x7f"}
    assert {ord("图"), ord("第")} <= shown <= known


def test_what_was_given_is_text_not_markup(html: str) -> None:
    assert "<h1>&lt;b&gt;实验&lt;/b&gt; &amp; 报告</h1>" in html


def test_has_every_section(html: str, twin: str) -> None:
    headings = [
        "问题",
        "方法",
        "数据与划分",
        "预处理与设置",
        "结果",
        "成功与失败的例子",
        "误差分析",
    ]
    headings += ["近似失误与重复图片", "参数曲线", "机器与耗时", "复现命令"]
    assert re.findall(r"^## \d+ (.*)$", twin, re.MULTILINE) == headings
    assert re.findall(r"</span>([^<]+)</h2>", html) == headings


def test_shows_both_directions_with_intervals(folder: Path, queries: Path, twin: str) -> None:
    found = evaluate(folder / "forward.jsonl", queries).evaluation
    low, high = found.interval["hit@10"]
    forward = f"{found.percent['hit@10']:.2f} [{low:.1f}, {high:.1f}]"
    assert "| 指标 | forward (文本 → 图片) | backward (图片 → 文本) |" in twin
    assert f"| hit@10 | {forward} | 100.00 [100.0, 100.0] |" in twin
    assert "| hit@1 |" in twin


def test_rows_show_query_results_and_the_right_one(twin: str, folder: Path) -> None:
    backward = twin[twin.index("### 成功：第一个结果正确", twin.index("### backward")) :]
    image = r"!\[\d+\]\(out_files/([0-9a-f]{12}\.webp)\)"
    row = re.search(rf"^\| {image} \| 第 1 名 \| ✓ (\d+)号红色碎花吊带裙 \|", backward, re.M)
    assert row
    with Image.open(folder / "out_files" / row[1]) as image:
        assert image.format == "WEBP"


def test_a_failure_has_its_rank_in_the_whole_pool(twin: str) -> None:
    ranks = [int(rank) for rank in re.findall(r"第 (\d+) 名（共 300）", twin)]
    assert ranks
    assert min(ranks) > 10


def test_every_file_of_the_twin_is_there(twin: str, folder: Path) -> None:
    named = set(re.findall(r"\(out_files/([^)]+)\)", twin))
    assert named == {path.name for path in (folder / "out_files").iterdir()}


def test_says_how_to_do_it_again_without_naming_folders(twin: str, folder: Path) -> None:
    commands = re.search(r"```\n(.*?)```", twin, re.DOTALL)
    assert commands
    lines = commands[1].strip().splitlines()
    assert [line.split()[1] for line in lines] == ["index", "evaluate", "sweep", "report"]
    assert lines[1] == (
        "tusou evaluate bundle --answers MR_test_queries.jsonl --top-k 10 --save forward.jsonl"
    )
    assert str(folder.parent) not in twin


def test_english_and_predictions_alone(folder: Path, queries: Path, tmp_path: Path) -> None:
    rows = (folder / "forward.jsonl").read_text().splitlines()[1:]
    (tmp_path / "pred.jsonl").write_text("\n".join(rows) + "\n")
    app = typer.Typer()
    app.command()(command)
    (tmp_path / "same.jsonl").write_text("\n".join(rows) + "\n")
    runs = [str(tmp_path / "pred.jsonl"), str(tmp_path / "same.jsonl")]
    words = [*runs, "--answers", str(queries), "--lang", "en"]
    words += ["--out", str(tmp_path / "page.html"), "--examples", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    twin = (tmp_path / "page.md").read_text("utf-8")
    assert "## 1 What was asked" in twin
    assert "Duplicates were not looked for" in twin
    assert "find the images they mean among those of the pool; the 10 best" in twin
    assert "Images are not shown: that needs the bundle" in twin
    assert "B answers 0 queries better, 40 alike and 0 worse.\n\n##" in twin
    assert 'class="missing"' not in (tmp_path / "page.html").read_text("utf-8")
    assert "beyond 10" in twin
    assert "### pred (A) and same (B)\n\nVerdict: A and B are not distinguishable." in twin
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, again.stderr.split(":")[0]) == (1, "output_exists")


def test_a_run_needs_answers_of_its_direction(folder: Path, queries: Path, tmp_path: Path) -> None:
    inputs = Inputs((folder / "backward.jsonl",), (str(queries),))
    with pytest.raises(InvalidRequest, match=r"backward\.jsonl has no --answers of its direction"):
        make_report(inputs, ReportSpec(), tmp_path / "page.html")


def test_refuses_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "page.md").touch()
    with pytest.raises(OutputExists, match=r"page\.md exists"):
        make_report(Inputs((tmp_path / "no.jsonl",), ()), ReportSpec(), tmp_path / "page.html")
