"""`tusou report`: a page that needs no network, its Markdown, and their content."""

import json
import os
import re
import shlex
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from drawing import image_line
from fontTools.ttLib import TTFont
from markdown_it import MarkdownIt
from PIL import Image
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evaluate.export import save
from tusou_lab.evaluate.scoring import evaluate
from tusou_lab.evaluate.search_bundle import BundleSearchSpec
from tusou_lab.report import key_code
from tusou_lab.report.cli import report as command
from tusou_lab.report.inputs import ReportSpec
from tusou_lab.report.run import make_report
from tusou_lab.sweep.output import prepare_folder, write_sweep
from tusou_lab.sweep.run import SweepSpec, sweep
from tusou_lab.train.losses.softmax import contrastive_loss
from typer.testing import CliRunner

import tusou
from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest, OutputExists, TusouError
from tusou.evaluation.metrics import GainTable, JudgedRanking, hit
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

pytestmark = pytest.mark.services

TITLE = "<b>实验</b> & 报告"


class ParsedPage(HTMLParser):
    """The links of a page, its tags and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tiny_bundle: Path, queries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a run, a run of the other direction, a sweep, and the report of all of them."""
    folder = tmp_path_factory.mktemp("report")
    scored = evaluate(tiny_bundle, queries, spec=BundleSearchSpec())
    save(folder / "forward.jsonl", scored.run, scored.judgments)
    captions = [{"item_id": 1000 + n, "text_ids": [7000 + n]} for n in range(10)]
    rankings = [
        {"item_id": 1000 + n, "text_ids": [7000 + (n + step) % 40 for step in range(10)]}
        for n in range(10)
    ]
    for name, rows in (("captions", captions), ("backward", rankings)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    cache = prepare_folder(folder / "sweep", force=False)
    values = SweepSpec(pools=(50, 100), factories=("Flat",), precisions=("fp32",))
    write_sweep(folder / "sweep", sweep(tiny_bundle, queries, values, cache))
    spec = ReportSpec(
        (folder / "forward.jsonl", folder / "backward.jsonl"),
        (str(queries), str(folder / "captions.jsonl")),
        (tiny_bundle,),
        folder / "sweep",
        TITLE,
        "zh",
        3,
        folder / "notes.txt",
    )
    (folder / "notes.txt").write_text(
        "# 体会\n\n提示词的作用\n不大。\n\n<b>数据</b>更重要。\n", "utf-8"
    )
    make_report(spec, folder / "out.html")
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "out.html").read_text("utf-8")


@pytest.fixture(scope="module")
def markdown(folder: Path) -> str:
    return (folder / "out.md").read_text("utf-8")


def test_needs_no_network(html: str) -> None:
    page = ParsedPage(html)
    assert [link for link in page.links if not link.startswith(("data:", "#"))] == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "default-src 'none'" in html
    assert set(re.findall(r"url\(([^;)#]+)", html)) == {"data:font/woff"}


def test_the_font_has_every_character_of_the_page(html: str) -> None:
    font = re.search(r"data:font/woff;base64,([A-Za-z0-9+/=]+)", html)
    assert font
    with TTFont(BytesIO(b64decode(font[1]))) as opened:
        known = set(opened.getBestCmap())
    shown = {ord(letter) for letter in ParsedPage(html).text if letter > "\x7f"}
    assert {ord("图"), ord("第")} <= shown <= known


def test_the_title_is_escaped(html: str) -> None:
    assert "<h1>&lt;b&gt;实验&lt;/b&gt; &amp; 报告</h1>" in html


def test_has_every_section(html: str, markdown: str) -> None:
    headings = [
        "摘要",
        "检索任务",
        "方法",
        "数据与划分",
        "预处理与设置",
        "结果",
        "成功与失败示例",
        "误差分析",
    ]
    headings += ["近似失误与重复图片", "参数曲线", "改进方向", "作者的说明", "关键代码"]
    headings += ["机器与耗时", "复现命令"]
    assert re.findall(r"^## \d+ (.*)$", markdown, re.MULTILINE) == headings
    assert re.findall(r"</span>([^<]+)</h2>", html) == headings


def test_shows_both_directions_with_intervals(folder: Path, queries: Path, markdown: str) -> None:
    evaluation = evaluate(folder / "forward.jsonl", queries).evaluation
    low, high = evaluation.interval["hit@10"]
    forward = f"{evaluation.percent['hit@10']:.2f} [{low:.1f}, {high:.1f}]"
    assert "| 指标 | forward（以文搜图） | backward（以图搜文） |" in markdown
    assert f"| Recall@10 | {forward} | 100.00 [100.0, 100.0] |" in markdown
    assert "| Recall@1 |" in markdown
    # The other recall has another name and stands in a table of its own.
    main, _, others = markdown.partition("### 其他指标")
    assert "平均召回率 |" in main
    assert not re.findall(r"^\| (?:recall@|hit@|前 )", main, re.M)
    assert "| nDCG@10 |" in others


def test_example_rows_show_query_rank_and_results(markdown: str, folder: Path) -> None:
    backward = markdown[
        markdown.index("### 成功：第一个结果正确", markdown.index("### backward")) :
    ]
    image = r"!\[\d+\]\(out_files/([0-9a-f]{12}\.webp)\)"
    row = re.search(rf"^\| {image} \| 第 1 名 \| ✓ (\d+)号红色碎花吊带裙 \|", backward, re.M)
    assert row
    with Image.open(folder / "out_files" / row[1]) as image:
        assert image.format == "WEBP"


def test_a_failure_shows_its_rank_in_the_whole_pool(markdown: str) -> None:
    ranks = [int(rank) for rank in re.findall(r"第 (\d+) 名（共 300 项）", markdown)]
    assert ranks
    assert min(ranks) > 10


def test_the_markdown_has_all_its_files(markdown: str, folder: Path) -> None:
    named = set(re.findall(r"\(out_files/([^)]+)\)", markdown))
    assert named == {path.name for path in (folder / "out_files").iterdir()}


def test_the_commands_can_be_pasted_in_the_folder_of_the_report(
    markdown: str, folder: Path, tiny_bundle: Path, queries: Path
) -> None:
    commands = re.search(r"```\n(tusou .*?)```", markdown, re.DOTALL)
    assert commands
    lines = [shlex.split(line) for line in commands[1].strip().splitlines()]
    assert [line[1] for line in lines] == ["index", "evaluate", "sweep", "report"]
    bundle, answers = (os.path.relpath(path, folder) for path in (tiny_bundle, queries))
    evaluated = ["--answers", answers, "--top-k", "10", "--save", "forward.jsonl", "--force"]
    assert lines[1] == ["tusou", "evaluate", bundle, *evaluated]
    for line in lines:
        for word in line[2:]:
            assert "/" not in word or word == TITLE or (folder / word).exists()
    assert lines[-1][-3:] == ["--out", "out.html", "--force"]


def test_the_abstract_has_the_length_that_sheets_ask_for(
    markdown: str, folder: Path, queries: Path
) -> None:
    abstract = re.search(r"## 1 摘要\n\n(.*)\n", markdown)
    assert abstract
    assert 100 <= len(abstract[1]) <= 150
    evaluation = evaluate(folder / "forward.jsonl", queries).evaluation
    assert f"{evaluation.percent['mean_recall']:.1f}%" in abstract[1]


def test_sentences_say_which_queries_fall_behind(tmp_path: Path) -> None:
    rows = [
        {"query_id": n, "query_text": "裙" if n < 10 else "适合夏天的连衣裙", "item_ids": [n]}
        for n in range(20)
    ]
    for row in rows:
        row["category"] = "短" if row["query_id"] < 10 else "长"
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "answers.jsonl").write_text(lines)
    # Every short query finds its item at once, every long one at rank 5.
    ranked = [
        row | {"item_ids": ids}
        for row in rows
        for ids in [[row["query_id"], *range(100, 109)]]
        if row["query_id"] < 10 or ids.insert(4, ids.pop(0)) is None
    ]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ranked))
    spec = ReportSpec((tmp_path / "run.jsonl",), (str(tmp_path / "answers.jsonl"),))
    make_report(spec, tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    behind = "长度为 5-8 个字符的查询最差，平均召回率为 66.7%（n = 10），比全部查询低 16.7 个百分点"
    assert behind in markdown.replace("–", "-")
    assert "“长”类查询最差" in markdown
    assert "差距不只是抽样误差" in markdown
    # Nothing fails: the worst ranks are shown in place of failures.
    assert "没有失败的查询" in markdown
    worst = markdown[markdown.index("### 名次最靠后的查询") :]
    assert worst.split("| **")[1].startswith("适合夏天的连衣裙** | 第 5 名")
    assert "100% 的正确结果已在前五名" in markdown


def test_own_words_and_exploration_are_shown(markdown: str, html: str) -> None:
    notes = markdown[markdown.index(" 作者的说明\n") :]
    assert notes.split("\n\n")[1:4] == [
        "### 体会",
        "提示词的作用 不大。",
        "&lt;b&gt;数据&lt;/b&gt;更重要。",
    ]
    assert re.search(r"^\*\*自主探索：.+\*\*$", markdown, re.M)
    assert "<strong>自主探索：" in html


def test_the_key_code_computes_what_tusou_does() -> None:
    rng = np.random.default_rng(1)
    images, texts = rng.normal(size=(2, 6, 8))
    correct = [{n, (n + 1) % 6} for n in range(6)]
    ranked = key_code.search(texts, images, 3)
    judged = [
        JudgedRanking(row.tolist(), answers) for row, answers in zip(ranked, correct, strict=True)
    ]
    assert key_code.recall_at_k(ranked, correct, 3) == hit(GainTable.of(judged, 3), 3).mean()
    features = [torch.from_numpy(key_code.normalize(each)) for each in (images, texts)]
    loss = contrastive_loss(*features, torch.tensor(5.0), torch.eye(6, dtype=torch.bool))
    assert key_code.contrastive_loss(images, texts, 5.0) == pytest.approx(float(loss), rel=1e-5)


def test_a_literal_search_is_shown_in_settings_and_commands(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "q.jsonl").write_text(
        '{"query_id": 1, "query_text": "不带碎花的裙子", "item_ids": [1000]}\n'
    )
    answers = str(tmp_path / "q.jsonl")
    for name, interpret in (("read", True), ("literal", False)):
        scored = evaluate(tiny_bundle, answers, spec=BundleSearchSpec(interpret=interpret))
        save(tmp_path / f"{name}.jsonl", scored.run, scored.judgments)
    runs = (tmp_path / "read.jsonl", tmp_path / "literal.jsonl")
    make_report(ReportSpec(runs, (answers,), (tiny_bundle,), language="en"), tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    assert "| refusals interpreted | yes | no |" in markdown
    assert "--answers q.jsonl --top-k 10 --save read.jsonl --force" in markdown
    assert "--answers q.jsonl --top-k 10 --no-interpret --save literal.jsonl" in markdown
    ranks = re.findall(r"rank (\d+) of 300", markdown)
    pipeline = SearchPipeline.open(tiny_bundle)
    queries = [Query.of_text("不带碎花的裙子", 300, interpret=on) for on in (True, False)]
    expected = [
        hits.item_ids.index(1000) + 1
        for hits in pipeline.search(queries).hits
        if not isinstance(hits, TusouError)
    ]
    assert list(map(int, ranks)) == expected


def test_the_index_command_names_the_index(tiny_model: Path, tmp_path: Path) -> None:
    images, answers = tmp_path / "MR_test_imgs.tsv", tmp_path / "q.jsonl"
    images.write_bytes(b"".join(image_line(seed, seed) for seed in range(12)))
    answers.write_text('{"query_id": 1, "query_text": "裙子", "item_ids": [3]}\n')
    spec = BuildSpec(str(images), str(tiny_model), "SQ8", workers=1)
    build(spec, tmp_path / "bundle", NoProgress())
    make_report(ReportSpec((tmp_path / "bundle",), (str(answers),)), tmp_path / "page.html")
    markdown = (tmp_path / "page.md").read_text("utf-8")
    model = os.path.relpath(tiny_model, tmp_path)
    assert f"tusou index MR_test_imgs.tsv --out bundle --model {model} --index SQ8\n" in markdown


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
    markdown = (tmp_path / "page.md").read_text("utf-8")
    assert "## 1 Abstract" in markdown
    assert "## 2 Task" in markdown
    assert "Duplicates were not checked" in markdown
    assert "find matching images among the images of the pool; the 10 most similar" in markdown
    assert "Images are not shown; give the bundle" in markdown
    assert "B is better for 0 queries and A for 0; 40 are equal.\n\n##" in markdown
    assert 'class="missing"' not in (tmp_path / "page.html").read_text("utf-8")
    assert "not in the first 10" in markdown
    assert "### pred (A) and same (B)\n\nVerdict: A and B are not distinguishable." in markdown
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, again.stderr.split(":")[0]) == (1, "output_exists")


def test_hostile_names_and_queries_are_text_on_the_page_and_in_markdown(tmp_path: Path) -> None:
    tag = "<img src=x onerror=alert(1)>"
    hostile = f"{tag} [a](javascript:b) **c** `d` | $e_{{$"
    answers, run = tmp_path / f"{tag}.answers.jsonl", tmp_path / f"{tag}$_run.jsonl"
    row = {"query_id": f"7{tag}", "query_text": hostile, "item_ids": [f"{hostile}1"]}
    answers.write_text(json.dumps(row | {"category": hostile}) + "\n")
    others = [f"{hostile}{number}" for number in (*range(2, 11), 1)]
    run.write_text(json.dumps(row | {"item_ids": others}) + "\n")
    other = tmp_path / "b.jsonl"
    other.write_text(json.dumps(row | {"item_ids": others[::-1]}) + "\n")
    title = f"x\n```\n{tag}"
    make_report(ReportSpec((run, other), (str(answers),), title=title), tmp_path / "page.html")
    assert "img" not in ParsedPage((tmp_path / "page.html").read_text("utf-8")).tags
    markdown = (tmp_path / "page.md").read_text("utf-8")
    outside_code = re.sub(r"^```\w*\n.*?^```$", "", markdown, flags=re.M | re.S)
    assert "<" not in outside_code
    assert "&lt;img src=x onerror=alert(1)&gt;" in outside_code
    tokens = [
        child
        for token in MarkdownIt("commonmark").enable("table").parse(markdown)
        for child in (token, *(token.children or ()))
    ]
    links = {str(token.attrs.get("src") or token.attrs.get("href") or "") for token in tokens}
    assert not {"html_inline", "html_block"} & {token.type for token in tokens}
    assert not [link for link in links if link and not link.startswith("page_files/")]


def test_a_run_needs_answers_of_its_direction(folder: Path, queries: Path, tmp_path: Path) -> None:
    spec = ReportSpec((folder / "backward.jsonl",), (str(queries),))
    with pytest.raises(InvalidRequest, match=r"backward\.jsonl has no --answers of its direction"):
        make_report(spec, tmp_path / "page.html")


def test_existing_output_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "page.md").touch()
    with pytest.raises(OutputExists, match=r"page\.md exists"):
        make_report(ReportSpec((tmp_path / "no.jsonl",), ()), tmp_path / "page.html")


def test_a_bundle_is_searched_for_refusals_as_written_with_the_option(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    answers = tmp_path / "q.jsonl"
    answers.write_text('{"query_id": 1, "query_text": "不带碎花的裙子", "item_ids": [1000]}\n')
    app = typer.Typer()
    app.command()(command)
    for flags, word in (([], "yes"), (["--no-interpret"], "no")):
        page = tmp_path / f"{word}.html"
        words = [tiny_bundle, "--answers", answers, "--out", page, "--lang", "en", *flags]
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exit_code == 0, done.output
        markdown = page.with_suffix(".md").read_text("utf-8")
        assert f"| refusals interpreted | {word} |" in markdown
        assert ("--no-interpret" in markdown) is bool(flags)
        (rank,) = re.findall(r"rank (\d+) of 300", markdown)
        with tusou.open_bundle(tiny_bundle) as bundle:
            hits = bundle.search("不带碎花的裙子", top_k=300, interpret=not flags)
        assert int(rank) == hits.item_ids.index(1000) + 1
