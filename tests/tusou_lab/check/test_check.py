"""`tusou check` on a dataset with one fault of each kind: every fault is found, and no other."""

import json
import re
import subprocess
import sys
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import typer
from drawing import image_bytes
from PIL import Image
from reading import write_file
from tusou_lab.check import cli
from tusou_lab.check.findings import Finding, FindingCode
from tusou_lab.check.page import write_page
from tusou_lab.check.query_checks import count_words
from tusou_lab.check.run import CheckReport, check
from typer.testing import CliRunner, Result

from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset


def scene(seed: int) -> Image.Image:
    """Draw soft shapes that no other seed gives: fingerprints are made for images, not noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "JPEG", **how: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def line(item_id: object, data: bytes) -> str:
    return f"{item_id}\t{b64encode(data).decode()}\n"


def rows(*queries: dict[str, object]) -> str:
    return "".join(json.dumps(query, ensure_ascii=False) + "\n" for query in queries)


def query(number: int, text: str, *item_ids: int) -> dict[str, object]:
    return {"query_id": number, "query_text": text, "item_ids": list(item_ids)}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faulty")
    flat = encoded(Image.new("RGB", (66_000, 1)), "PNG")
    train = [
        line(1, encoded(scene(1), quality=95)),
        line(2, encoded(scene(2), quality=95)),
        line(3, encoded(scene(2), quality=95)),  # the same bytes
        line(4, encoded(scene(1).resize((80, 80)), quality=70)),  # looks like 1
        line(5, b"no image"),
        line(6, flat),
        line(7, encoded(scene(7).resize((120, 12)))),
        line(8, encoded(scene(8).resize((12, 12)))),
        line(1, encoded(scene(9))),
        "broken\n",
        line(9, encoded(scene(10).convert("L"), "PNG")),
    ]
    write_file(root / "MR_train_imgs.tsv", "".join(train))
    write_file(
        root / "MR_train_queries.jsonl",
        rows(
            query(10, "红色连衣裙", 1, 2),
            query(11, "红色 连衣裙", 3, 4, 4),
            query(12, " ", 1),
            query(13, "不带拉链的包", 7, 5),
            query(14, "龘靐裙", 8),
            query(15, "很长的裙子" * 12, 9),
            query(16, "没有答案"),
            query(17, "红色  连衣裙", 99),
        )
        + "{\n",
    )
    write_file(
        root / "MR_test_imgs.tsv",
        line(50, encoded(scene(2), quality=95)) + line(1, encoded(scene(20))),
    )
    write_file(root / "MR_test_queries.jsonl", rows(query(10, "红色连衣裙", 50)))
    return root


@pytest.fixture(scope="module")
def report(faulty: Path) -> CheckReport:
    return check(str(faulty), NoProgress(), workers=1)


def findings_of(report: CheckReport, code: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.code == code]


@pytest.mark.parametrize(
    ("code", "severity", "split", "count", "example"),
    [
        ("unusable_images", "error", "train", 1, "line 5: 5"),
        ("bombs", "error", "train", 1, "line 6: 6"),
        ("repeated_ids", "error", "train", 1, "line 9: 1"),
        ("same_bytes", "warning", "train", 1, "2 = 3"),
        ("near_duplicates", "warning", "train", 1, "1 = 4"),
        ("extreme_shapes", "warning", "train", 1, "7: 120 x 12"),
        ("tiny_images", "warning", "train", 1, "8: 12 x 12"),
        (
            "unusable_lines",
            "error",
            "train",
            1,
            (
                "line 9: not a JSON object (Expecting property name enclosed in "
                "double quotes, column 2)"
            ),
        ),
        ("empty_queries", "error", "train", 1, "line 3: query 12"),
        ("dangling_ids", "error", "train", 2, "query 13: 5"),
        ("repeated_answers", "warning", "train", 1, "query 11"),
        ("queries_without_answer", "warning", "train", 1, "query 16: 没有答案"),
        ("repeated_queries", "warning", "train", 1, "红色 连衣裙 (2 times)"),
        ("beyond_tokens", "warning", "train", 1, "很长的裙子" * 12),
        ("negations", "note", "train", 1, "不带拉链的包"),
        ("shared_queries", "warning", "between splits", 1, "红色连衣裙 in train, test"),
        ("shared_images", "warning", "between splits", 1, "train 2 = train 3 = test 50"),
        ("shared_ids", "note", "between splits", 1, "1 in test, train"),
        ("never_asked_for", "note", "test", 1, "1"),
    ],
)
def test_each_fault_is_found(
    report: CheckReport, code: str, severity: str, split: str, count: int, example: str
) -> None:
    finding = findings_of(report, code)[0]
    assert (finding.severity, finding.split, finding.count, finding.examples[0]) == (
        severity,
        split,
        count,
        example,
    )


def test_characters_outside_the_vocabulary(report: CheckReport) -> None:
    (finding,) = findings_of(report, "unknown_characters")
    assert (finding.count, finding.examples) == (2, ("靐 (U+9750) in 1", "龘 (U+9F98) in 1"))


def test_nothing_else_is_found(report: CheckReport) -> None:
    codes = [finding.code for finding in report.findings]
    assert len(codes) == len(set(codes)) + 1  # lines that cannot be read have a reason of their own
    assert {finding.message for finding in findings_of(report, "unusable_images")} == {
        "not a readable image",
        "missing column: expected item_id<TAB>base64",
    }
    assert [finding.severity for finding in report.findings] == sorted(
        (finding.severity for finding in report.findings),
        key=("error", "warning", "note").index,
    )


def test_counts_of_a_split(report: CheckReport) -> None:
    facts = report.splits["train"]
    assert facts.images
    assert facts.relations
    assert (facts.images.rows, facts.images.usable) == (11, 7)
    assert facts.images.formats == {"JPEG": 6, "PNG": 1}
    assert facts.images.modes == {"RGB": 6, "L": 1}
    assert facts.images.sizes["96x96"] == 4
    assert facts.relations.positives == {0: 1, 1: 4, 2: 3}
    assert facts.relations.asked_for == 7


def test_a_clean_dataset_has_no_findings_and_exits_0(tmp_path: Path) -> None:
    write_file(
        tmp_path / "MR_valid_imgs.tsv", "".join(line(n, encoded(scene(n))) for n in range(5))
    )
    texts = ["红裙", "黑鞋", "白帽", "蓝包", "绿伞"]
    asked = rows(*(query(n, text, n) for n, text in enumerate(texts)))
    write_file(tmp_path / "MR_valid_queries.jsonl", asked)
    result = run(tmp_path, "--workers", 1)
    assert result.exit_code == 0
    head, end = result.stdout.splitlines()
    assert head == "valid: 5 usable images, 5 queries"
    assert end.startswith("0 errors, 0 warnings, 0 notes in ")


def test_files_with_a_wrong_ending(tmp_path: Path) -> None:
    write_file(tmp_path / "a.jpg", encoded(scene(1), "PNG"))
    write_file(tmp_path / "b.jpeg", encoded(scene(2)))
    write_file(tmp_path / "c.gif", encoded(scene(3), "WEBP"))
    finding = findings_of(check(str(tmp_path), NoProgress(), workers=1), "wrong_endings")[0]
    assert finding.examples == ("a.jpg is PNG", "c.gif is WEBP")


def test_captions_of_missing_images(tmp_path: Path) -> None:
    write_file(tmp_path / "images" / "1.jpg", encoded(scene(1)))
    write_file(tmp_path / "Flickr8k.token.txt", "1.jpg#0\t狗\n2.jpg.1#0\t猫\n")
    report = check(str(tmp_path), NoProgress(), workers=1)
    assert [finding.code for finding in report.findings] == ["dangling_ids"]
    assert report.findings[0].examples == ("query 2.jpg.1#0: 2.jpg.1",)


def test_near_duplicates_by_a_bundle(tmp_path: Path, pool: Path, tiny_model: Path) -> None:
    from tusou_indexer.build import BuildSpec, build

    build(BuildSpec(str(pool), str(tiny_model), workers=1), tmp_path / "bundle", NoProgress())
    report = check(str(pool), NoProgress(), bundle=tmp_path / "bundle", workers=1)
    assert len(report.images) == 300
    assert not findings_of(report, "near_duplicates")  # though all drawings have similar vectors
    other = write_file(tmp_path / "other.tsv", line("x", image_bytes(1)))
    with pytest.raises(BadDataset, match="holds none of these images"):
        check(str(other), NoProgress(), bundle=tmp_path / "bundle", workers=1)


def test_words_are_counted() -> None:
    words = count_words(["纯棉碎花吊带裙", "碎花 裙"])
    assert words == (("碎花", 2), ("纯棉", 1), ("吊带裙", 1))


def run(*words: object) -> Result:
    app = typer.Typer()
    app.command()(cli.check)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_errors_exit_with_1_and_a_page_is_not_overwritten(faulty: Path, tmp_path: Path) -> None:
    result = run(f"{faulty}#test", "--json", "--workers", 1)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert [finding["code"] for finding in report["findings"]] == ["never_asked_for"]
    assert report["splits"]["test"]["texts"]["lengths"] == {"5": 1}
    assert run(faulty, "--workers", 1).exit_code == 1
    page = write_file(tmp_path / "page.html", "mine")
    refused = run(faulty, "--html", page)
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (1, "output_exists")
    assert page.read_text() == "mine"


def test_the_page_shows_every_finding_and_needs_no_network(
    report: CheckReport, tmp_path: Path
) -> None:
    write_page(tmp_path / "page.html", report)
    html = (tmp_path / "page.html").read_text("utf-8")
    urls = re.findall(r"(?:src=|href=|url\()[\"']?([^\"')]{5})", html)
    assert {url for url in urls if not url.startswith("#")} == {"data:"}
    assert html.count("<figure>") == sum(len(finding.images) for finding in report.findings)
    assert [each.code for each in report.findings if f"<code>{each.code} " not in html] == []
    assert "<script" not in html


def test_every_code_is_on_its_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "check.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", page, re.MULTILINE)
    assert re.findall(r"[a-z_]+", " ".join(rows)) == list(get_args(FindingCode))


CASES = Path(__file__).parents[2] / "cases"


def test_images_that_a_preparation_changes_and_warnings_are_findings(tmp_path: Path) -> None:
    names = (
        "exif-orientation-6.jpg",
        "transparent-background-becomes-black.png",
        "broken-exif-warns-on-stderr.jpg",
        "upright-reference.png",
    )
    for name in names:
        (tmp_path / name).write_bytes((CASES / name).read_bytes())
    command = [sys.executable, "-m", "tusou", "check", str(tmp_path), "--html", "page.html"]
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "Warning" not in done.stderr
    findings = {row["code"]: row for row in json.loads(done.stdout)["findings"]}
    assert findings["turned_images"]["examples"] == ["exif-orientation-6"]
    assert findings["transparent_images"]["examples"] == ["transparent-background-becomes-black"]
    assert findings["library_warnings"]["examples"] == [
        "broken-exif-warns-on-stderr: Corrupt EXIF data. Expecting to read 2 bytes but only got 0."
    ]
