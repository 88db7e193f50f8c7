"""Both READMEs say the same, and what they tell people to type and to read exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from tusou_client import Client

from tusou.cli.main import VERBS

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(readme: Path, language: str = "") -> list[str]:
    """List the fenced blocks of a language, without their comments."""
    found = [match for match in BLOCK.finditer(readme.read_text()) if match["language"] == language]
    return [re.sub(r" +#.*", "", match["text"]) for match in found]


def lines(start: str) -> list[list[str]]:
    """List the commands of the README's blocks that begin with a word, split as a shell does."""
    typed = [line for block in blocks(READMES[0]) for line in block.splitlines()]
    return [shlex.split(line) for line in typed if line.startswith(f"{start} ")]


def options(verb: str) -> set[str]:
    app = typer.Typer()
    app.command()(VERBS[verb][0].load())  # type: ignore[type-var]
    return {name for param in typer.main.get_command(app).params for name in param.opts}


@pytest.mark.parametrize("language", ["", "json", "python"])
def test_both_show_the_same_commands(language: str) -> None:
    assert blocks(READMES[0], language) == blocks(READMES[1], language)
    assert blocks(READMES[0], language)


def test_both_have_the_same_sections_and_links() -> None:
    one, other = (readme.read_text() for readme in READMES)
    assert len(re.findall("^## ", one, re.MULTILINE)) == len(
        re.findall("^## ", other, re.MULTILINE)
    )
    assert re.findall(r"\]\((?!README)(.*?)\)", one) == re.findall(r"\]\((?!README)(.*?)\)", other)
    assert one.count("\n|") == other.count("\n|")


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_it_is_short_and_its_links_lead_somewhere(readme: Path) -> None:
    text = readme.read_text()
    assert len(text.splitlines()) <= 150
    linked = re.findall(r"\]\((?!http)(.*?)\)", text)
    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []


def test_its_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"\bmake ([a-z]+)\b(?! of)", READMES[0].read_text())
    assert set(named) >= {"demo", "test", "serve"}
    assert set(named) <= set(targets)


@pytest.mark.parametrize("words", lines("tusou"), ids=lambda words: words[1])
def test_its_verbs_have_those_options(words: list[str]) -> None:
    used = {word for word in words[2:] if word.startswith("--")}
    assert used <= options(words[1])


def test_its_extras_exist_and_its_files_are_there() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r"\.\[([\w,]+)\]", READMES[0].read_text())
    extras = {extra for names in named for extra in names.split(",")}
    assert extras == {"cpu", "gpu", "lab"}
    assert all(f"\n{extra} = [" in project for extra in extras)
    files = {word for words in lines("docker") for word in words if word.endswith(".yml")}
    assert files == {path.name for path in ROOT.glob("docker-compose*.yml")}


def test_its_python_names_what_the_client_has() -> None:
    [code] = blocks(READMES[0], "python")
    compile(code, "README.md", "exec")
    methods = re.findall(r"tusou\.(\w+)\(", code)
    assert methods == ["search"]
    assert all(callable(getattr(Client, method)) for method in methods)
