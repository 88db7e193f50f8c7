"""Every Chinese page keeps step with its English twin, and every link of both leads somewhere."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHINESE = sorted((DOCS / "zh").glob("*.md"))
PAGES = [*sorted(DOCS.glob("*.md")), *sorted((DOCS / "decisions").glob("*.md")), *CHINESE]
PAGES += [
    ROOT / name for name in ("README.md", "README.zh-CN.md", "SECURITY.md", "CONTRIBUTING.md")
]
REQUIRED = {"api", "cli", "data", "deployment", "evaluation", "glossary", "operations", "python"}
REQUIRED |= {"scaling", "walkthrough-muge", "walkthrough-flickr8k", "walkthrough-teddy"}
REQUIRED |= {"evalset", "walkthrough-evalset"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")


def english(page: Path) -> Path:
    return DOCS / page.name


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def code_blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of every code block, without comments."""
    return [
        (language, re.sub(r"(^|\s+)# .*", "", text))
        for language, text in FENCE.findall(page.read_text("utf-8"))
    ]


def heading_levels(page: Path) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(page), re.MULTILINE)]


def tables(page: Path) -> list[list[list[str]]]:
    """Return the rows of every table, each a list of cells."""
    result: list[list[list[str]]] = []
    previous = ""
    for line in prose(page).splitlines():
        if line.startswith("|"):
            if not previous.startswith("|"):
                result.append([])
            result[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        previous = line
    return result


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub derives them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_every_page_that_needs_a_twin_has_one() -> None:
    assert {page.stem for page in CHINESE} >= REQUIRED
    assert [page.name for page in CHINESE if not english(page).exists()] == []


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.stem)
def test_headings_have_the_same_levels(page: Path) -> None:
    assert heading_levels(page) == heading_levels(english(page))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.stem)
def test_tables_have_the_same_rows_columns_and_code(page: Path) -> None:
    ours, theirs = tables(page), tables(english(page))
    assert [len(table) for table in ours] == [len(table) for table in theirs]
    for table, twin in zip(ours, theirs, strict=True):
        assert [len(row) for row in table] == [len(row) for row in twin]
        for row, other in zip(table, twin, strict=True):
            assert Counter(CODE.findall(" ".join(row))) == Counter(CODE.findall(" ".join(other)))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.stem)
def test_code_blocks_are_the_same(page: Path) -> None:
    assert code_blocks(page) == code_blocks(english(page))


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.stem)
def test_both_name_the_same_code(page: Path) -> None:
    assert set(CODE.findall(prose(page))) == set(CODE.findall(prose(english(page))))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []
